"""Sharing: which items have one call together, because a journal says that one answer serves them all.

Rules owned here:

1. Items with the same key share a call: the first is the leader, and its result becomes the result of its followers.
2. A leader whose result is its own alone, or that is withdrawn, is followed by the next: that one leads the others.
3. Most items share their call with no other, so they cost two entries in dictionaries and nothing else.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import attrs

from ..lanes.job import Job


@attrs.frozen
class Ended:
    """A lead that has ended."""

    key: Hashable
    """What its items have in common."""
    followers: Sequence[Job]
    """At least one; those without a result need one."""


class SharedCalls:
    """The open items of one submitter that share a call, or may share one with an item that comes."""

    def __init__(self) -> None:
        self._leaders: dict[Hashable, Job] = {}
        self._followers: dict[Hashable, list[Job]] = {}
        self._keys: dict[int, Hashable] = {}
        """Keys of the items, by their index."""
        self._count = 0

    def __len__(self) -> int:
        """Return the number of followers."""
        return self._count

    def lead(self, job: Job, key: Hashable) -> bool:
        """Return whether a job needs a call of its own; otherwise let it follow the leader of its key."""
        if key is None:
            return True
        self._keys[job.index] = key
        if self._leaders.setdefault(key, job) is job:
            return True
        self._followers.setdefault(key, []).append(job)
        self._count += 1
        return False

    def follows(self, job: Job) -> bool:
        """Return whether a job waits for the result of another."""
        leader = self._leaders.get(self._keys.get(job.index))
        return leader is not None and leader is not job

    def end(self, job: Job) -> Ended | None:
        """Record that a job needs a call no more; if it has led others, return them."""
        key = self._keys.pop(job.index, None)
        if key is None or self._leaders.get(key) is not job:
            return None
        del self._leaders[key]
        followers = self._followers.pop(key, None) if self._followers else None
        if followers is None:
            return None
        self._count -= len(followers)
        return Ended(key, followers)

    def succeed(self, ended: Ended) -> Job | None:
        """Let the first follower without a result lead the others; return it, None if each has one."""
        waiting = [job for job in ended.followers if job.result is None]
        if not waiting:
            return None
        self._leaders[ended.key] = waiting[0]
        if len(waiting) > 1:
            self._followers[ended.key] = waiting[1:]
            self._count += len(waiting) - 1
        return waiting[0]

    def stop_following(self, job: Job) -> None:
        """Forget a job that follows another."""
        key = self._keys.pop(job.index)
        followers = self._followers[key]
        followers.remove(job)
        self._count -= 1
        if not followers:
            del self._followers[key]
