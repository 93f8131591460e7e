"""The picture and the table of compared strategies in the docs: one model, another, a ladder of both, and the ladder with feedback.

`python -m tests.suites.picture` runs a suite of 200 sums with each of them against simulated models, in real time, and writes
docs/how-to/suite/compare.svg and the table in docs/how-to/run-a-suite.md, in a minute.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from paceline import InvalidOutputError, Price
from paceline.llm_strategies import EscalationPolicy, ModelEscalation, Problem, ValidationFeedback
from paceline.report.intervals import Estimate, differences_chart, shares_chart
from paceline.suites import Question, Suite, SuiteReport, numeric, report, run
from paceline.testing import Service, SimulatedProvider, SimulatedStrategy, TokenBucket

FOLDER = Path(__file__).parents[2] / "docs" / "how-to" / "suite"
PAGE = FOLDER.parent / "run-a-suite.md"
_TABLE = re.compile(r"```\n\$ paceline suite compare .*?\n```", re.DOTALL)
ITEMS = 200
STYLE = """svg { font: 11px system-ui, sans-serif; } text { fill: #555d66; } .name { fill: #1c2024; } .head { fill: #1c2024; font-weight: 600; }
.end { text-anchor: end; } .middle { text-anchor: middle; } .grid { stroke: #d5d9de; stroke-width: 0.6; } .dot { fill: #1d5fbf; }
.rule { stroke: #555d66; stroke-width: 0.8; stroke-dasharray: 3 3; } .whisker { stroke: #1d5fbf; stroke-width: 2; }
@media (prefers-color-scheme: dark) { text { fill: #aab2bb; } .name, .head { fill: #e8eaed; } .grid { stroke: #363c43; }
.rule { stroke: #aab2bb; } .whisker { stroke: #8ab4f8; } .dot { fill: #8ab4f8; } }"""


class Examinee(SimulatedStrategy):
    """A simulated model that gets a share of the sums right, and writes a share of its answers in another form than it was asked for.

    Which ones, depends on the model and the sum only. With feedback on the form, it mostly gets that right.
    """

    def __init__(self, model, *, right, valid, latency, price):
        service = Service(latency=latency, limits=(TokenBucket(25, 25),))
        super().__init__(SimulatedProvider(service, seed=1), model=model, quota=model)
        self._right, self._valid = right, valid
        self.price = price

    async def execute(self, prompt, attempt, timeout):
        _, usage = await super().execute(prompt, attempt, timeout)
        number = int(re.search(r"\d+", prompt)[0])
        draw = random.Random(f"{self.model} {number}")
        is_right, is_valid, follows = (draw.random() < share for share in (self._right, self._valid, 0.8))
        if not is_valid and not (follows and "not valid" in prompt):
            raise InvalidOutputError(
                "Well, that is hard to say.", [Problem("", "must be a number", "text")], usage=usage
            )
        return f"#### {2 * number if is_right else 2 * number + 1}", usage


def strategies():
    """Return the strategies by the names of their results' folders."""

    def small():
        return Examinee("small", right=0.8, valid=0.75, latency=0.3, price=Price(0.1, 0.4))

    def large():
        return Examinee("large", right=0.92, valid=0.98, latency=0.9, price=Price(2.0, 10.0))

    ladder = ModelEscalation([small(), large()])
    twice = ModelEscalation([small(), large()], EscalationPolicy(budget=(2, 1)))
    return {"small": small(), "large": large(), "ladder": ladder, "ladder-with-feedback": ValidationFeedback(twice)}


def picture(found: SuiteReport) -> str:
    """Return accuracies and differences, one above the other, as a drawing that needs no page."""
    estimates = [
        Estimate(
            name=one.name if one.result.strategy == "model" else f"{one.name}: {one.result.model}",
            value=one.result.accuracy,
            low=one.result.interval.low,
            high=one.result.interval.high,
            words=f"{one.result.accuracy:.1%}, ${one.result.cost:.3f}, {one.result.total_seconds:.0f} s",
        )
        for one in found.results
    ]
    differences = [
        Estimate(
            name=f"{one.first_name} less {one.second_name}", value=one.difference, low=one.interval.low, high=one.interval.high,
            words=one.short,
        )
        for one in found.comparisons
    ]  # fmt: skip
    charts = [
        ("Accuracy, with its interval; cost; time", shares_chart("Accuracy", "", estimates).svg),
        ("Difference, with its interval", differences_chart("Difference", "", differences).svg),
    ]
    parts, top = [], 0
    for head, svg in charts:
        height = int(re.search(r'viewBox="0 0 480 (\d+)"', svg)[1])
        parts.append(f'<text class="head" x="10" y="{top + 18}">{head}</text>')
        parts.append(svg.replace("<svg ", f'<svg x="0" y="{top + 24}" width="480" height="{height}" ', 1))
        top += height + 36
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 {top}" width="720">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )


def main():
    """Run the suite with each strategy, and write the picture and the table."""
    questions = [Question(f"sum-{n}", {"n": n}, str(2 * n)) for n in range(1, ITEMS + 1)]
    suite = Suite("sums", questions, "What is {n} + {n}?", numeric)
    with tempfile.TemporaryDirectory() as name:
        folders = []
        for folder, strategy in strategies().items():
            folders.append(str(Path(name, folder)))
            run(suite, strategy, folder=folders[-1])
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / "compare.svg").write_text(picture(report(*folders, with_text=False)), "utf-8")
        command = ["suite", "compare", *strategies()]
        program = [sys.executable, "-m", "paceline", *command]
        printed = subprocess.run(program, cwd=name, check=True, capture_output=True, text=True).stdout
        text = f"$ paceline {' '.join(command)}\n{printed}"
        PAGE.write_text(_TABLE.sub(lambda _: f"```\n{text.strip()}\n```", PAGE.read_text("utf-8"), count=1), "utf-8")
    print(text)  # noqa: T201 - a program


if __name__ == "__main__":
    main()
