"""What is written down of one client's calls."""

from __future__ import annotations

import math
from array import array


class Log:
    """The calls of one client, in the order in which they ended."""

    def __init__(self) -> None:
        self.served_at = array("d")
        self.served_from = array("d")
        """When each of them had started: it was admitted then."""
        self.units = array("d")
        self.refused_at = array("d")
        self.failed_at = array("d")
        self.cut = array("d")
        """When the calls had started that the end of the trial cut off."""
        self.cut_units = array("d")
        self.busy = 0.0
        self.lost = 0
        """Items that were given up."""

    def serve(self, start: float, end: float, units: float) -> None:
        """Note a call that was served."""
        self.served_from.append(start)
        self.served_at.append(end)
        self.units.append(units)
        self.busy += end - start

    def refuse(self, end: float) -> None:
        """Note a refusal."""
        self.refused_at.append(end)

    def fail(self, end: float) -> None:
        """Note another fault, or a timeout."""
        self.failed_at.append(end)

    def cut_off(self, start: float, end: float, units: float) -> None:
        """Note a call that the end of the trial found in flight."""
        self.cut.append(start)
        self.cut_units.append(units)
        self.busy += end - start


class Series:
    """What was seen of the contenders' handles, at regular times."""

    def __init__(self, every: float) -> None:
        self.every = every
        self.times: list[float] = []
        self.in_flight: list[int] = []
        self.limit: list[float] = []
        self.rate: list[float | None] = []
        """Units a second; None: no rate is enforced."""

    def note(self, now: float, in_flight: int, limit: float, rate: float) -> None:
        """Note what is seen now."""
        self.times.append(now)
        self.in_flight.append(in_flight)
        self.limit.append(limit)
        self.rate.append(rate if math.isfinite(rate) else None)
