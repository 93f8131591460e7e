"""The estimate of a run, and its pilot: real calls that the run does not pay for again."""

from __future__ import annotations

import pytest

from paceline import runs
from paceline.exceptions import ConfigurationError
from paceline.runs import RunOptions

from ..strategies.chat_service import OPENAI
from ..strategies.gemini.service import Answer

pytestmark = pytest.mark.usefixtures("no_keys")

PRICE = "in=100,out=1000"


@pytest.fixture
def options(jsonl, service):
    """Make options of a run of so many prompts on a local server that counts its calls."""
    service.says(Answer(OPENAI.reply("good")))

    def make(number=60, **changes):
        given = {"input": str(jsonl(number)), "model": f"openai:m@{service.url}/v1", "price": PRICE}
        return RunOptions(**given | changes)

    return make


def test_without_a_pilot_nothing_is_called_or_written(options, service, tmp_path):
    given = options()
    before = sorted(tmp_path.iterdir())
    found = runs.estimate(given)
    assert (found.prompts, found.calls, found.seen, found.spent) == (60, 60, 0, 0.0)
    assert (service.requests, sorted(tmp_path.iterdir())) == (0, before)


def test_the_run_does_not_pay_again_for_its_pilot_and_its_cost_is_in_the_range(options, service):
    given = options()
    guess, found = runs.estimate(given), runs.estimate(given, pilot=20)
    assert (service.requests, found.calls, found.seen) == (20, 40, 20)
    assert found.cost.high / found.cost.low < guess.cost.high / guess.cost.low
    report = runs.run(given)
    assert (service.requests, report.journal.counts.succeeded) == (60, 60)
    each = 12 * 100e-6 + 3 * 1000e-6
    assert found.spent == pytest.approx(20 * each)
    assert found.cost.low <= 40 * each <= found.cost.high


def test_a_pilot_makes_only_the_calls_that_the_journal_lacks(options, service):
    given = options()
    for pilot, calls in ((5, 5), (20, 20), (20, 20), (10, 20)):
        assert runs.estimate(given, pilot=pilot).seen == calls
        assert service.requests == calls


def test_the_items_of_an_earlier_run_calibrate_the_estimate_of_a_longer_input(options, service, jsonl):
    runs.run(options(30))
    found = runs.estimate(options(60), pilot=20)
    assert (service.requests, found.calls, found.seen) == (30, 30, 30)
    assert found.output_tokens.likely == pytest.approx(3 * 30)


def test_a_finished_run_has_nothing_left_to_pay_for(options):
    runs.run(options(5))
    found = runs.estimate(options(5))
    assert (found.calls, found.cost.high, found.seconds.high) == (0, 0.0, 0.0)
    assert found.spent > 0


def test_a_pilot_without_an_answer_is_an_error_that_quotes_the_provider(options, service):
    service.says(Answer({"error": {"message": "no such model"}}, status=404))
    with pytest.raises(ConfigurationError, match=r"the pilot has no answer to learn from: .*no such model"):
        runs.estimate(options(), pilot=5)


@pytest.mark.parametrize(
    ("pilot", "changes", "words"),
    [
        (-1, {}, "pilot: must be 1 or more, not -1"),
        (5, {"sample": 3}, "pilot: .* leave out --sample"),
        (5, {"limit": 3}, "pilot: .* leave out --limit"),
        (5, {"no_journal": True}, "pilot: keeps its calls in a journal"),
        (5, {"input": "-", "output": "out.jsonl"}, "pilot: reads the input once more"),
    ],
)
def test_a_pilot_that_cannot_be_kept_is_refused_before_its_first_call(options, service, pilot, changes, words):
    with pytest.raises(ConfigurationError, match=words):
        runs.estimate(options(**changes), pilot=pilot)
    assert service.requests == 0
