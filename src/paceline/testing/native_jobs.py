"""Native jobs of a simulated provider: how long they take, how they end, and what they bill.

Rules owned here:

1. The rows of a job are answered evenly over its `seconds`. A job that is cancelled goes on for `cancel_seconds`; one that expires, or is
   cancelled, keeps what it has answered until then.
2. A row is billed when it is answered with success, in a job or online. What was billed is counted by the text of the prompt.
3. A creation may be refused (`held_creates`), or happen without an answer (`lost_creates`).
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import attrs

from .._core.validators import Number, WholeNumber

End: TypeAlias = Literal["completed", "expired", "cancelled", "failed"]
_SECONDS = Number(at_least=0)
_COUNT = WholeNumber(at_least=0)


def echo(prompt: str) -> tuple[int, str]:
    """Answer a prompt with itself."""
    return 200, f"answer to {prompt}"


@attrs.frozen(kw_only=True)
class NativeService:
    """What the jobs of a simulated provider do.

    Raises:
        ConfigurationError: A field is out of its bounds.
    """

    seconds: float = attrs.field(default=0.5, validator=_SECONDS)
    """Time that a job takes, whatever its size."""
    expires_after: float | None = attrs.field(default=None, validator=attrs.validators.optional(_SECONDS))
    """Time after which a job expires; what it has answered until then is kept. None: it does not."""
    cancel_seconds: float = attrs.field(default=0.1, validator=_SECONDS)
    """Time for which a cancelled job goes on."""
    lost_creates: int = attrs.field(default=0, validator=_COUNT)
    """Jobs at first that are created while the connection is closed without an answer."""
    held_creates: int = attrs.field(default=0, validator=_COUNT)
    """Creations at first that are refused with a 429, as too much is enqueued."""
    failed_jobs: int = attrs.field(default=0, validator=_COUNT)
    """Jobs at first that fail as a whole, without an answer."""
    listed_after: float = attrs.field(default=0.0, validator=_SECONDS)
    """Time after which a job is in the list."""
    answer: Callable[[str], tuple[int, str]] = echo
    """Returns the HTTP status and the text of the answer to a prompt; only those with 200 are billed."""


@attrs.define(eq=False)
class SimulatedJob:
    """A job at the provider."""

    id: str
    label: str
    """Our marker; empty: this provider shows none."""
    rows: Sequence[tuple[str, str]]
    """Key and prompt of each row."""
    began: float
    created: float
    """Wall-clock time."""
    lasts: float
    """Seconds until it ends."""
    end: End
    per_row: float
    """Seconds of one row."""

    def done(self, now: float) -> int:
        """Return the number of rows that are answered."""
        if self.end == "failed":
            return 0
        passed = min(now - self.began, self.lasts)
        return len(self.rows) if not self.per_row else min(len(self.rows), math.floor(passed / self.per_row + 1e-9))

    def has_ended(self, now: float) -> bool:
        """Whether it has ended."""
        return now - self.began >= self.lasts


@attrs.frozen(kw_only=True)
class NativeStatistics:
    """What a simulated provider of native jobs has counted."""

    jobs: int
    """Jobs that were created."""
    jobs_by_label: Mapping[str, int]
    """The same by their label, of the providers that show one."""
    in_jobs: Mapping[str, int]
    """How often each prompt was billed in jobs."""
    online: Mapping[str, int]
    """How often each prompt was billed in calls. A call that was in flight when the caller was killed is billed, and made again."""

    @property
    def billed(self) -> Mapping[str, int]:
        """How often each prompt was billed."""
        return Counter(self.in_jobs) + Counter(self.online)

    @property
    def billed_in_jobs(self) -> int:
        """Rows of jobs that were billed."""
        return sum(self.in_jobs.values())

    @property
    def billed_online(self) -> int:
        """Calls that were billed."""
        return sum(self.online.values())


class NativeJobs:
    """The jobs of one simulated provider, for any number of threads.

    Args:
        service: What its jobs do.
    """

    def __init__(self, service: NativeService) -> None:
        self.service: NativeService = service
        """Applies to what is created from now on."""
        self._jobs: dict[str, SimulatedJob] = {}
        self._files: dict[str, bytes] = {}
        self._online: Counter[str] = Counter()
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._creates = 0

    def add_file(self, content: bytes) -> str:
        """Store a file; return its name."""
        with self._lock:
            name = f"file-{next(self._numbers)}"
            self._files[name] = content
            return name

    def file(self, name: str) -> bytes | None:
        """Return the content of a file."""
        return self._files.get(name)

    def create(self, label: str, rows: Sequence[tuple[str, str]]) -> tuple[SimulatedJob | None, bool]:
        """Create a job; return it, and whether the answer is lost. None: it was refused for now."""
        with self._lock:
            service, number = self.service, self._creates
            self._creates += 1
            if number < service.held_creates:
                return None, False
            made = number - service.held_creates
            lasts, end = service.seconds, "completed"
            if service.expires_after is not None and service.expires_after < lasts:
                lasts, end = service.expires_after, "expired"
            if made < service.failed_jobs:
                lasts, end = 0.0, "failed"
            job = SimulatedJob(
                id=f"batch-{next(self._numbers)}",
                label=label,
                rows=rows,
                began=time.monotonic(),
                created=time.time(),
                lasts=lasts,
                end=end,  # type: ignore[arg-type]  # one of its values
                per_row=service.seconds / max(1, len(rows)),
            )
            self._jobs[job.id] = job
            return job, made < service.lost_creates

    def job(self, name: str) -> SimulatedJob | None:
        """Return a job."""
        return self._jobs.get(name)

    def listed(self) -> list[SimulatedJob]:
        """Return the jobs that are in the list, the newest first."""
        with self._lock:
            latest = time.monotonic() - self.service.listed_after
            return [job for job in reversed(self._jobs.values()) if job.began <= latest]

    def cancel(self, job: SimulatedJob) -> bool:
        """Cancel a job; return whether it had not ended."""
        with self._lock:
            passed = time.monotonic() - job.began
            if passed >= job.lasts:
                return False
            if job.end != "cancelled" and passed + self.service.cancel_seconds < job.lasts:
                job.lasts, job.end = passed + self.service.cancel_seconds, "cancelled"
            return True

    def answers(self, job: SimulatedJob) -> list[tuple[str, int, str]]:
        """Return key, status and text of the answers that a job has."""
        done = job.done(time.monotonic())
        return [(key, *self.service.answer(prompt)) for key, prompt in job.rows[:done]]

    def answer_online(self, prompt: str) -> tuple[int, str]:
        """Answer a call; return the HTTP status and the text."""
        status, text = self.service.answer(prompt)
        if status == 200:  # noqa: PLR2004 - HTTP's success
            with self._lock:
                self._online[prompt] += 1
        return status, text

    def statistics(self) -> NativeStatistics:
        """Return a snapshot."""
        with self._lock:
            now = time.monotonic()
            in_jobs = Counter[str]()
            for job in self._jobs.values():
                in_jobs.update(
                    prompt
                    for _, prompt in job.rows[: job.done(now)]
                    if self.service.answer(prompt)[0] == 200  # noqa: PLR2004 - as above
                )
            return NativeStatistics(
                jobs=len(self._jobs),
                jobs_by_label=Counter(job.label for job in self._jobs.values() if job.label),
                in_jobs=in_jobs,
                online=Counter(self._online),
            )
