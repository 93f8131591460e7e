"""How often the range of an estimate contains the truth, on simulated batches: `python -m benchmarks estimate`.

Each batch has its own distributions, drawn at random: 300 to 10,000 prompts, sizes of prompts and answers (nearly equal, lognormal, lognormal
with a heavy tail, Pareto, two kinds of items), answers that depend on the prompt or not, an instruction, invalid answers that are called for again.
Half of them have a ladder whose upper step costs 4 to 20 times as much. A pilot of random items is observed; the truth is the cost of all
items together, the pilot's included.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from random import Random

from paceline import Price, TokenUsage
from paceline._core.forecast import SeenItem, Step, forecast
from paceline._core.ranges import Range

from .table import table

PILOT = 20
TARGET = 0.9
SHAPES = ("even", "lognormal", "heavy", "pareto", "two kinds")


def shape(random: Random, name: str, middle: float) -> Callable[[], float]:
    """Return a generator of positive numbers around `middle`."""
    match name:
        case "even":
            return lambda: middle * random.uniform(0.9, 1.1)
        case "lognormal":
            return lambda: middle * random.lognormvariate(0, 0.6)
        case "heavy":
            return lambda: middle * random.lognormvariate(0, 1.2)
        case "pareto":
            return lambda: middle * min(random.paretovariate(2.0), 100.0)
        case _:
            share, times = random.uniform(0.1, 0.4), random.uniform(3, 10)
            return lambda: middle * random.lognormvariate(0, 0.3) * (times if random.random() < share else 1.0)


class Batch:
    """A simulated batch: what each item takes of each model."""

    def __init__(self, seed: int, most_items: int = 10_000) -> None:
        random = Random(seed)
        self.count = int(10 ** random.uniform(2.5, math.log10(most_items)))
        size = shape(random, random.choice(SHAPES), 10 ** random.uniform(2, 4))
        output = shape(random, random.choice(SHAPES), 10 ** random.uniform(1, 3))
        follows = random.random() < 0.4
        self.fixed = random.choice((0, 0, 2_000))
        density = random.uniform(2.5, 4.5)
        invalid = random.choice((0.0, 0.05, 0.3))
        has_ladder = random.random() < 0.5
        climbs = random.uniform(0.03, 0.4) if has_ladder else 0.0
        cheap = Price(10 ** random.uniform(-1, 0.3), 10 ** random.uniform(-0.4, 1))
        times = random.uniform(4, 20)
        prices = [cheap, Price(cheap.input * times, cheap.output * times)] if has_ladder else [cheap]
        self.sizes = [max(1, int(size())) for _ in range(self.count)]
        self.prices = prices
        self.seen: list[list[SeenItem | None]] = [[] for _ in prices]
        middle = sum(self.sizes) / self.count
        for bytes_ in self.sizes:
            climbed = random.random() < climbs
            for number, price in enumerate(prices):
                if number and not climbed:
                    self.seen[number].append(None)
                    continue
                calls = 1 + (random.random() < invalid) + (random.random() < invalid / 3)
                sent = made = 0
                for _ in range(calls):
                    sent += int((bytes_ + self.fixed) / density + 10)
                    made += max(1, int(output() * (bytes_ / middle if follows else 1)))
                self.seen[number].append(SeenItem(bytes_, sent, made, price.of(TokenUsage(sent, made))))
        self.pilot_order = random.sample(range(self.count), self.count)

    def truth(self) -> float:
        """Return what all items cost, in USD."""
        return sum(one.cost or 0.0 for of_model in self.seen for one in of_model if one is not None)

    def estimate(self, pilot: int) -> Range:
        """Return the estimate after a pilot, the cost of the pilot included."""
        chosen = self.pilot_order[:pilot]
        steps = [
            Step(
                model=str(number),
                fixed=self.fixed,
                price=price,
                seen=[one for i in chosen if (one := of_model[i]) is not None],
            )
            for number, (price, of_model) in enumerate(zip(self.prices, self.seen, strict=True))
        ]
        known = sum(one.cost or 0.0 for step in steps for one in step.seen)
        found = forecast(Counter(self.sizes[i] for i in self.pilot_order[pilot:]), steps).cost
        if found is None:
            raise AssertionError("every model has a price")
        return found.plus(known)


def measure(batches: int, pilot: int, first: int = 0, most_items: int = 10_000) -> tuple[float, float, float, float]:
    """Return the share of batches in whose range the truth is, the shares below and above, and the median width, high over low."""
    below = above = 0
    widths = []
    for seed in range(first, first + batches):
        batch = Batch(seed, most_items)
        truth, found = batch.truth(), batch.estimate(pilot)
        below += truth < found.low
        above += truth > found.high
        widths.append(found.high / found.low)
    return 1 - (below + above) / batches, below / batches, above / batches, sorted(widths)[batches // 2]


def estimate(batches: int = 200) -> str:
    """Return the measurements as a table, with the target under it."""
    rows, reached = [], 0.0
    for pilot in (0, 5, PILOT, 100):
        inside, below, above, width = measure(batches, pilot)
        rows.append([f"{pilot}", f"{inside:.1%}", f"{below:.1%}", f"{above:.1%}", f"{width:.1f}"])
        reached = inside if pilot == PILOT else reached
    shown = table(["pilot", "truth in the range", "below it", "above it", "high / low, median"], rows)
    met = "met" if reached >= TARGET else "**MISSED**"
    return f"{shown}\n\nTarget: in the range in {TARGET:.0%} of {batches} batches after a pilot of {PILOT}. {reached:.1%}: {met}."
