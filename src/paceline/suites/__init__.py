"""Suites: run benchmark suites, and know what the numbers mean.

    from paceline import model, suites

    result = suites.run(suites.find("gsm8k-100"), model("gemini-2.5-flash"), folder="flash")
    print(f"{result.accuracy:.1%}", result.interval, result.cost)
    print(suites.compare("flash", "pro"))

A suite has questions with known answers, a prompt, and a scorer. Each sample is a call of its own, through a pool like any other: at the
provider's pace, from a journal if it was made before, and accounted for. Each accuracy comes with an interval, and each difference with a test.
"""

from typing import TYPE_CHECKING

from .._public import load

if TYPE_CHECKING:
    from .code import unit_tests as unit_tests
    from .comparison import Comparison as Comparison
    from .comparison import compare as compare
    from .evaluation import evaluate as evaluate
    from .evaluation import run as run
    from .graded import ModelGraded as ModelGraded
    from .registry import Listed as Listed
    from .registry import find as find
    from .registry import listed as listed
    from .report_figures import SuiteReport as SuiteReport
    from .results import SuiteResult as SuiteResult
    from .results import read_result as read_result
    from .results import read_transcript as read_transcript
    from .sandbox import Limits as Limits
    from .sandbox import Sandbox as Sandbox
    from .scorers import begins as begins
    from .scorers import choice as choice
    from .scorers import exact as exact
    from .scorers import includes as includes
    from .scorers import json_fields as json_fields
    from .scorers import matches as matches
    from .scorers import normalised as normalised
    from .scorers import numeric as numeric
    from .statistics import Interval as Interval
    from .suite import Question as Question
    from .suite import Score as Score
    from .suite import Scorer as Scorer
    from .suite import Suite as Suite
    from .suite_report import report as report
    from .suite_report import write_report as write_report

_HOMES = {
    "Comparison": "comparison",
    "Interval": "statistics",
    "Limits": "sandbox",
    "Listed": "registry",
    "ModelGraded": "graded",
    "Question": "suite",
    "Sandbox": "sandbox",
    "Score": "suite",
    "Scorer": "suite",
    "Suite": "suite",
    "SuiteReport": "report_figures",
    "SuiteResult": "results",
    "begins": "scorers",
    "choice": "scorers",
    "compare": "comparison",
    "evaluate": "evaluation",
    "exact": "scorers",
    "find": "registry",
    "includes": "scorers",
    "json_fields": "scorers",
    "listed": "registry",
    "matches": "scorers",
    "normalised": "scorers",
    "numeric": "scorers",
    "read_result": "results",
    "read_transcript": "results",
    "report": "suite_report",
    "run": "evaluation",
    "unit_tests": "code",
    "write_report": "suite_report",
}
"""Each name's module. It is loaded when the name is first used, as the engine and the journal take time to load."""

__all__ = [
    "Comparison",
    "Interval",
    "Limits",
    "Listed",
    "ModelGraded",
    "Question",
    "Sandbox",
    "Score",
    "Scorer",
    "Suite",
    "SuiteReport",
    "SuiteResult",
    "begins",
    "choice",
    "compare",
    "evaluate",
    "exact",
    "find",
    "includes",
    "json_fields",
    "listed",
    "matches",
    "normalised",
    "numeric",
    "read_result",
    "read_transcript",
    "report",
    "run",
    "unit_tests",
    "write_report",
]

if not TYPE_CHECKING:  # a type checker would take any name for a public one

    def __getattr__(name: str) -> object:
        value = globals()[name] = load(__name__, _HOMES, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
