"""The log of one client's calls, and the series of its handles."""

from __future__ import annotations

import math
from array import array


class Log:
    """The calls of one client, in the order in which they ended."""

    def __init__(self) -> None:
        self.served_at = array("d")
        self.served_from = array("d")
        """When each of them had started, and was admitted."""
        self.units = array("d")
        self.refused_at = array("d")
        self.failed_at = array("d")
        self.cut = array("d")
        """Starts of the calls that were in flight at the end of the trial."""
        self.cut_units = array("d")
        self.busy = 0.0
        self.lost = 0
        """Items that failed in the end."""

    def serve(self, start: float, end: float, units: float) -> None:
        """Log a call that was served."""
        self.served_from.append(start)
        self.served_at.append(end)
        self.units.append(units)
        self.busy += end - start

    def refuse(self, end: float) -> None:
        """Log a refusal."""
        self.refused_at.append(end)

    def fail(self, end: float) -> None:
        """Log another fault, or a timeout."""
        self.failed_at.append(end)

    def cut_off(self, start: float, end: float, units: float) -> None:
        """Log a call that was in flight at the end of the trial."""
        self.cut.append(start)
        self.cut_units.append(units)
        self.busy += end - start


class Series:
    """The contenders' handles, sampled at regular times."""

    def __init__(self, every: float) -> None:
        self.every = every
        self.times: list[float] = []
        self.in_flight: list[int] = []
        self.limit: list[float] = []
        self.rate: list[float | None] = []
        """Units per second; None: no rate is enforced."""

    def sample(self, now: float, in_flight: int, limit: float, rate: float) -> None:
        """Add a sample."""
        self.times.append(now)
        self.in_flight.append(in_flight)
        self.limit.append(limit)
        self.rate.append(rate if math.isfinite(rate) else None)
