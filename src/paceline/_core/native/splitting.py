"""Splitting: which rows go into one native job, by what the provider allows in one.

Rules owned here:

1. Rows keep their order: each job has a run of them, as many as fit.
2. Rows of different kinds (another model, another endpoint) are in different jobs.
3. A row that no job can hold is in none; it is named, so that it can be answered otherwise.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

import attrs

from ..validators import WholeNumber

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


@attrs.frozen(kw_only=True)
class JobLimits:
    """What one job of a provider may hold.

    Raises:
        ConfigurationError: A limit is not a whole number, 1 or more.
    """

    rows: int = attrs.field(validator=WholeNumber(at_least=1))
    """Most rows."""
    bytes: int = attrs.field(validator=WholeNumber(at_least=1))
    """Most bytes of all request lines together, with their line ends."""


@attrs.frozen
class Group(Generic[K, R]):
    """Rows of one job."""

    kind: K
    """What all its rows have in common."""
    rows: tuple[R, ...]
    size: int
    """Bytes."""


@attrs.define
class _Open(Generic[R]):
    rows: list[R] = attrs.field(factory=list)
    size: int = 0


class Splitter(Generic[K, R]):
    """Collects rows into groups, each of which fits into one job.

    Args:
        limits: What one job may hold.
    """

    def __init__(self, limits: JobLimits) -> None:
        self._limits = limits
        self._open: dict[K, _Open[R]] = {}

    def fits(self, size: int) -> bool:
        """Return whether a row of so many bytes fits into a job at all."""
        return size <= self._limits.bytes

    def add(self, kind: K, row: R, size: int) -> Group[K, R] | None:
        """Add a row that fits; return the group before it, if that became full.

        Args:
            kind: What all rows of its job have in common.
            row: The row.
            size: Its bytes.
        """
        group, full = self._open.get(kind), None
        if group is not None and (len(group.rows) >= self._limits.rows or group.size + size > self._limits.bytes):
            full, group = Group(kind, tuple(group.rows), group.size), None
        if group is None:
            group = self._open[kind] = _Open()
        group.rows.append(row)
        group.size += size
        return full

    def finish(self) -> list[Group[K, R]]:
        """Return the groups that are not full; none is open any more."""
        groups = [Group(kind, tuple(group.rows), group.size) for kind, group in self._open.items()]
        self._open = {}
        return groups
