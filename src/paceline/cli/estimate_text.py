"""Estimates: what a run will take, for people in a few lines, for machines as one object."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import attrs

from .._core.durations import format_duration
from .._core.quantity import quantity
from .._core.ranges import Range
from ..runs.price_options import how_to_price
from ..runs.run_estimate import Estimate

_LARGE = ((1e9, "B"), (1e6, "M"), (1e4, "k"))  # from 10,000 on three digits are enough
_SAME = 1.01  # a range whose bounds differ by less is shown as one figure


def estimate_lines(estimate: Estimate, *, is_native: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the lines of an estimate, each with its label; an empty label continues the line before.

    Args:
        estimate: The estimate.
        is_native: Whether all calls go through the batch API: then its price counts, and it alone knows the time.
    """
    if estimate.seen:
        yield "estimate", f"learned from {quantity(estimate.seen, 'item')} of the journal"
    else:
        yield "estimate", "a guess from the sizes of the prompts"
        yield "", "  `paceline estimate ... --pilot 20` narrows it with 20 calls, kept for the run"
    yield "tokens", f"{tokens_text(estimate.input_tokens)} in"
    yield "", f"{tokens_text(estimate.output_tokens)} out"
    yield from _batch_lines(estimate) if is_native else _online_lines(estimate)
    if estimate.spent:
        yield "spent", f"{_usd(estimate.spent)} so far, by the calls that the journal has"


def _batch_lines(estimate: Estimate) -> Iterator[tuple[str, str]]:
    batch, online = estimate.batch_cost, estimate.cost
    yield "cost", "the price of the batch API is unknown" if batch is None else f"{cost_text(batch)} by the batch API"
    if online is not None:
        yield "", f"{cost_text(online)} if all were called online"


def _online_lines(estimate: Estimate) -> Iterator[tuple[str, str]]:
    if estimate.cost is None:
        yield "cost", f"unknown, as no price is known of {' and '.join(estimate.unpriced)}; {how_to_price()}"
    else:
        yield "cost", cost_text(estimate.cost)
    steps = estimate.forecast.steps
    for step in steps if len(steps) > 1 else ():
        cost = "cost unknown" if step.cost is None else cost_text(step.cost)
        yield "", f"  {step.model}: {cost} for {count_text(step.items)}"
    if estimate.batch_cost is not None:
        yield "batch API", f"{cost_text(estimate.batch_cost)}, if answers may take a day"
    unknown = "" if estimate.pace_is_known or not estimate.calls else ", if the provider's limits allow it"
    yield "time", f"{time_text(estimate.seconds)}{unknown}"


def estimate_data(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as data that JSON can hold; its keys are documented, and stay."""
    return {
        "prompts": estimate.prompts,
        "calls": estimate.calls,
        "seen": estimate.seen,
        "input_tokens": _data(estimate.input_tokens),
        "output_tokens": _data(estimate.output_tokens),
        "cost": _data(estimate.cost),
        "batch_cost": _data(estimate.batch_cost),
        "spent": estimate.spent,
        "seconds": _data(estimate.seconds),
        "pace_is_known": estimate.pace_is_known,
        "models": [
            {
                "model": step.model,
                "items": _data(step.items),
                "input_tokens": _data(step.input_tokens),
                "output_tokens": _data(step.output_tokens),
                "cost": _data(step.cost),
                "batch_cost": _data(step.batch_cost),
            }
            for step in estimate.forecast.steps
        ],
    }


def tokens_text(amount: Range) -> str:
    """Return a range of tokens: 1.21M (1.10M to 1.34M)."""
    return _with_bounds(amount, *map(_short, attrs.astuple(amount)))


def count_text(amount: Range) -> str:
    """Return a range of items: 1,204 items (980 to 1,512)."""
    low, likely, high = map(round, attrs.astuple(amount))
    return _with_bounds(amount, f"{low:,}", quantity(likely, "item"), f"{high:,}")


def cost_text(amount: Range) -> str:
    """Return a range in USD: $4.20 ($3.61 to $5.10)."""
    return _with_bounds(amount, *map(_usd, attrs.astuple(amount)))


def time_text(seconds: Range) -> str:
    """Return a range of time: 4 min (2 min to 41 min)."""
    if not seconds.high:
        return "none: there is nothing to call"
    return _with_bounds(seconds, *map(_time, attrs.astuple(seconds)))


def _with_bounds(amount: Range, low: str, likely: str, high: str) -> str:
    if amount.high <= amount.low * _SAME or low == high:
        return likely
    return f"{likely} ({low} to {high})"


def _short(number: float) -> str:
    for unit, letter in _LARGE:
        if number >= unit:
            scaled = number / (unit if letter != "k" else 1e3)
            return f"{scaled:,.{max(0, 3 - len(str(int(scaled))))}f}{letter}"
    return f"{round(number):,}"


def _usd(amount: float) -> str:
    if not amount:
        return "$0"
    decimals = 2 if amount >= 1 else min(12, 1 - math.floor(math.log10(amount)))
    return f"${amount:,.{decimals}f}"


def _time(seconds: float) -> str:
    """Return a time without its smaller unit: an estimate has none."""
    unit = next((unit for unit in (86_400, 3_600, 60) if seconds >= 2 * unit), 1)
    return format_duration(round(seconds / unit) * unit or seconds).removesuffix(" 0 min").removesuffix(" 0 h")


def _data(amount: Range | None) -> dict[str, float] | None:
    return None if amount is None else attrs.asdict(amount)
