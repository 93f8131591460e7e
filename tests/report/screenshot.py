"""The picture of a report in the docs: a batch in real time whose limit changes twice, its page, and the upper part of that.

`python -m tests.report.screenshot` writes docs/how-to/report/report.png, in three minutes; it needs Chromium.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import attrs

import paceline
from paceline import FaultKind, Price
from paceline.llm_strategies import ModelEscalation
from paceline.runs import ReportOptions, write_report
from paceline.testing import ConcurrencyCap, Service, SimulatedProvider, SimulatedStrategy, TokenBucket

from .browser import chromium, require_chromium, visit

PICTURE = Path(__file__).parents[2] / "docs" / "how-to" / "report" / "report.png"
WIDTH, HEIGHT = 1000, 1400  # pixels


def strategy():
    """Return a ladder of two models; the limit of the cheap one falls after 50 seconds, and rises after 90."""
    first = Service(latency=1.2, limits=(TokenBucket(40, 10),), faults={FaultKind.INVALID: 0.06})
    steps = [(seconds, attrs.evolve(first, limits=(TokenBucket(rate, 10),))) for seconds, rate in ((50, 15), (90, 60))]
    small = SimulatedStrategy(SimulatedProvider(first, steps=steps, seed=1), model="small", quota="small")
    large_service = Service(latency=3.0, limits=(ConcurrencyCap(6),), faults={FaultKind.INVALID: 0.02})
    large = SimulatedStrategy(SimulatedProvider(large_service, seed=2), model="large", quota="large")
    small.price, large.price = Price(0.1, 0.4), Price(1.25, 10.0)
    return ModelEscalation([small, large])


def main():
    """Run the batch, write its page, and take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        journal, page = Path(folder) / "answers.journal", Path(folder) / "report.html"
        prompts = [f"Classify review {number}: {'word ' * (number % 60)}" for number in range(5_600)]
        print(paceline.run_prompts(strategy(), prompts, journal=journal).summary())  # noqa: T201 - a program
        write_report(journal, ReportOptions(output=str(page)))
        with chromium(require_chromium()) as browser:
            found = visit(browser, page, width=WIDTH)
            PICTURE.parent.mkdir(exist_ok=True)
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT}
            found.page.screenshot(path=PICTURE, full_page=True, clip=clip)


if __name__ == "__main__":
    main()
