"""Runs of suites: accuracy, samples, resumption, graders, and what is lost when a provider fails."""

import json
import sqlite3
from string import Formatter

import anyio
import pytest

from paceline import Budget, CallableStrategy, CallError, Price, ProcessorConfig
from paceline.exceptions import ConfigurationError, SourceError
from paceline.llm_strategies import ModelEscalation, ValidationFeedback
from paceline.runs import RunControl
from paceline.suites import (
    ModelGraded,
    Question,
    Score,
    Suite,
    compare,
    evaluate,
    exact,
    numeric,
    read_result,
    read_transcript,
)

from ..engine.support import Echo

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    """Time is real, as answers are scored in threads."""
    return request.param


def sums(count, score=numeric):
    return Suite("sums", lambda: (Question(str(n), {"n": n}, str(2 * n)) for n in range(count)), "{n} + {n} =", score)


class Calculator(Echo):
    """Adds, and says that 3 + 3 = 7."""

    def __init__(self, seconds=0.01):
        super().__init__(seconds)

    async def execute(self, prompt, attempt, timeout):
        _, usage = await super().execute(prompt, attempt, timeout)
        number = int(prompt.split()[0])
        return f"#### {7 if number == 3 else 2 * number}", usage


async def test_the_accuracy_is_the_share_of_right_answers():
    result = await evaluate(sums(10), Calculator())
    assert result.accuracy == 0.9
    assert 0.9 in result.interval
    assert (result.items, result.scored, result.unanswered, result.unscored) == (10, 10, {}, 0)
    assert result.is_complete
    assert result.input_tokens == 100
    assert result.cost is None


async def test_each_sample_is_a_call_of_its_own_and_may_have_a_strategy_of_its_own(tmp_path):
    strategies = [Calculator(), CallableStrategy(_nothing), Calculator()]
    result = await evaluate(sums(4), strategies.__getitem__, samples=3, folder=tmp_path)
    assert sum(strategies[0].board.calls.values()) == 4
    assert result.accuracy == pytest.approx(3 * 2 / 12)
    assert result.pass_at == {1: pytest.approx(6 / 12), 3: 3 / 4}
    rows = list(read_transcript(tmp_path))
    assert sorted((row["item"], row["sample"]) for row in rows) == [(str(n), s) for n in range(4) for s in range(3)]


async def _nothing(_prompt):
    return "I do not know"


async def test_a_result_that_was_kept_is_read_as_it_was(tmp_path):
    strategy = Calculator()
    strategy.price = Price(1.0, 2.0)
    result = await evaluate(sums(5), strategy, folder=tmp_path)
    assert read_result(tmp_path) == result
    assert result.cost == pytest.approx(5 * (10 * 1.0 + 5 * 2.0) / 1e6)


async def test_a_suite_that_was_stopped_goes_on_without_paying_twice_and_with_the_same_scores(tmp_path):
    strategy, control = Calculator(), RunControl()

    def stop(progress):
        if progress.done >= 20:
            control.stop()

    config = ProcessorConfig(max_workers=4)
    first = await evaluate(
        sums(300), strategy, folder=tmp_path, config=config, control=control, on_progress=stop, progress_period=0.01
    )
    assert 20 <= first.scored < 300
    assert first.unanswered == {"pending": 300 - first.scored}
    assert not first.is_complete
    again = await evaluate(sums(300), strategy, folder=tmp_path)
    whole = await evaluate(sums(300), Calculator())
    assert again.is_complete
    assert (again.accuracy, again.interval, again.items) == (whole.accuracy, whole.interval, 300)
    assert all(count == 1 for count in strategy.board.calls.values())
    assert again.input_tokens == 3000  # over both runs
    assert len(list(read_transcript(tmp_path))) == 300


async def test_a_cancelled_suite_keeps_the_answers_so_far(tmp_path):
    strategy = Calculator()
    with anyio.move_on_after(0.1):
        await evaluate(sums(40), strategy, folder=tmp_path, config=ProcessorConfig(max_workers=2))
    assert not (tmp_path / "result.json").exists()
    again = await evaluate(sums(40), strategy, folder=tmp_path)
    assert again.scored == 40
    assert sum(strategy.board.calls.values()) <= 40 + 2  # only those in flight are called again


async def test_a_second_stop_cancels_the_calls_in_flight():
    control = RunControl()

    def cancel(progress):
        if progress.in_flight:
            control.cancel()

    result = await evaluate(sums(9), Calculator(seconds=50), control=control, on_progress=cancel, progress_period=0.01)
    assert result.scored == 0
    assert result.unanswered == {"pending": 9}
    assert result.seconds < 50


async def test_a_refusal_is_wrong_and_what_the_provider_did_not_answer_has_no_score(tmp_path):
    async def answer(prompt):
        number = int(prompt.split()[0])
        if number == 1:
            raise CallError("content filter", kind="refused")
        if number == 2:
            raise CallError("bad request", kind="rejected")
        return f"#### {2 * number}"

    result = await evaluate(sums(4), CallableStrategy(answer), folder=tmp_path)
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.unanswered == {"rejected": 1}
    scores = {row["item"]: row["score"] for row in read_transcript(tmp_path)}
    assert scores == {"0": 1, "1": 0, "2": None, "3": 1}


@pytest.mark.parametrize("is_awaited", [False, True])
async def test_a_scorer_that_raises_leaves_a_sample_unscored_and_the_suite_goes_on(tmp_path, is_awaited):
    def score(item, output):
        if item.id == "2":
            raise KeyError("no such field")
        return numeric(item, output)

    async def awaited(item, output):
        await anyio.sleep(0.01)
        return score(item, output)

    result = await evaluate(sums(5, awaited if is_awaited else score), Calculator(), folder=tmp_path)
    assert (result.scored, result.unscored, result.is_complete) == (4, 1, False)
    row = next(row for row in read_transcript(tmp_path) if row["item"] == "2")
    assert row["score"] is None
    assert row["explanation"].startswith("KeyError")


async def test_a_scorer_that_cannot_work_here_is_known_before_anything_is_asked(tmp_path):
    class Impossible:
        def check(self):
            raise ConfigurationError("there is no sandbox")

        def __call__(self, item, output):
            raise AssertionError("nothing is scored")

    strategy = Calculator()
    with pytest.raises(ConfigurationError, match="there is no sandbox"):
        await evaluate(sums(3, Impossible()), strategy, folder=tmp_path)
    assert not strategy.board.calls


@pytest.mark.parametrize("is_awaited", [False, True])
async def test_what_ends_a_suite_is_raised_as_it_is(tmp_path, is_awaited):
    async def misled(item, output):
        raise ConfigurationError("this cannot be scored")

    reads = []

    def questions():
        reads.append(1)
        yield from sums(5)
        if len(reads) > 1 and not is_awaited:
            raise OSError("the data are gone")

    suite = Suite("sums", questions, "{n} + {n} =", misled if is_awaited else numeric)
    with pytest.raises(ConfigurationError if is_awaited else SourceError):
        await evaluate(suite, Calculator(), folder=tmp_path)


async def test_goodput_is_of_answers_that_this_run_has_called(tmp_path):
    first = await evaluate(sums(4), Calculator(), folder=tmp_path)
    again = await evaluate(sums(4), Calculator(), folder=tmp_path)
    assert first.goodput > 0
    assert again.goodput == 0


async def test_scorers_that_are_awaited_lose_no_row_of_the_transcript(tmp_path, monkeypatch):
    monkeypatch.setattr("paceline.suites.suite_run._FLUSH", 3)

    async def score(item, output):
        await anyio.sleep(0.001)
        return numeric(item, output)

    result = await evaluate(sums(400, score), Calculator(0.001), folder=tmp_path)
    assert result.scored == 400
    assert {row["item"] for row in read_transcript(tmp_path)} == {str(number) for number in range(400)}


async def test_a_grader_has_its_own_calls_and_is_not_paid_twice(tmp_path):
    asked = []

    async def grade(prompt):
        asked.append(prompt)
        return "It is.\nGRADE: C" if "#### 4" in prompt else "Hm.\nGRADE: P" if "#### 6" in prompt else "No.\nGRADE: I"

    suite = sums(4, ModelGraded(CallableStrategy(grade), "{n}: {target} or {answer}?"))
    result = await evaluate(suite, Calculator(), folder=tmp_path)
    assert result.accuracy == pytest.approx((0 + 0 + 1 + 0) / 4)
    row = next(row for row in read_transcript(tmp_path) if row["item"] == "2")
    assert row["grader"] == {"prompt": "2: 4 or #### 4?", "answer": "It is.\nGRADE: C"}
    again = await evaluate(suite, Calculator(), folder=tmp_path)
    assert again.accuracy == result.accuracy
    assert len(asked) == 4


async def test_a_grader_without_a_grade_leaves_a_sample_unscored():
    async def grade(_prompt):
        return "Nice answer!"

    result = await evaluate(sums(2, ModelGraded(CallableStrategy(grade))), Calculator())
    assert (result.scored, result.unscored) == (0, 2)


async def test_a_grader_over_the_budget_leaves_a_sample_unanswered_and_is_asked_under_a_higher_one(tmp_path):
    async def grade(_prompt):
        return "GRADE: C"

    grader = CallableStrategy(grade, price=Price(1_000.0, 1_000.0))
    asked = Calculator()
    asked.price = Price(0.001, 0.001)
    suite = sums(3, ModelGraded(grader))
    capped = await evaluate(suite, asked, folder=tmp_path, config=ProcessorConfig(budget=Budget(usd=0.5)))
    assert (capped.unanswered, capped.unscored, capped.is_over_budget) == ({"pending": 3}, 0, True)
    assert "budget" in capped.stopped
    again = await evaluate(suite, asked, folder=tmp_path, config=ProcessorConfig(budget=Budget(usd=1e6)))
    assert (again.accuracy, again.is_over_budget, again.stopped) == (1, False, None)
    assert sum(asked.board.calls.values()) == 3


async def test_a_cap_in_usd_needs_the_prices_of_model_and_grader_before_anything_is_asked():
    priced = Calculator()
    priced.price = Price(1.0, 1.0)
    config = ProcessorConfig(budget=Budget(usd=1))
    for strategy, score in ((Calculator(), numeric), (priced, ModelGraded(CallableStrategy(_nothing)))):
        with pytest.raises(ConfigurationError, match="no price is known"):
            await evaluate(sums(2, score), strategy, config=config)
        assert not strategy.board.calls


async def test_the_time_of_all_runs_is_kept(tmp_path):
    first = await evaluate(sums(4), Calculator(0.2), folder=tmp_path)
    again = await evaluate(sums(4), Calculator(0.2), folder=tmp_path)
    assert again.total_seconds >= first.total_seconds >= 0.2


async def test_a_template_is_parsed_once_for_all_items_with_the_same_fields(monkeypatch, anyio_backend_name):
    parsed = []
    parse = Formatter.parse
    monkeypatch.setattr(Formatter, "parse", lambda self, text: parsed.append(text) or parse(self, text))
    prompt, answer = f"{anyio_backend_name}: {{a}} and {{b}}?", f" {anyio_backend_name} {{target}}"
    suite = Suite("new", [], prompt, exact, examples=[Question("x", {"a": 1, "b": 2}, "3")], answer=answer)
    shown = f"{anyio_backend_name}: 1 and 2? {anyio_backend_name} 3\n\n"
    assert suite.ask(Question("1", {"a": 3, "b": 4})) == f"{shown}{anyio_backend_name}: 3 and 4?"
    assert suite.ask(Question("2", {"a": 5, "b": 6})) == f"{shown}{anyio_backend_name}: 5 and 6?"
    assert sorted(parsed) == sorted([prompt, answer])


@pytest.mark.parametrize(
    ("prompt", "what"), [("{c}", "has no field 'c'"), ("{a", "cannot be read"), ("?", "names no field")]
)
async def test_what_is_wrong_with_a_template_names_suite_and_item(prompt, what):
    with pytest.raises(ConfigurationError, match=f"^suite s, item 7: .*{what}"):
        Suite("s", [], prompt, exact).ask(Question("7", {"a": 1}))


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ([], "suite s: it has no items"),
        ([Question("1", {"a": 1}), Question("2", {"a": 1}), Question("1", {"a": 2})], "two items have the id '1'"),
        ([Question("", {"a": 1})], "the id of item 1 must be a non-empty string"),
        ([Question("1", {"a": 1}), "2"], "item 2 must be a Question, not str"),
        ([Question("1", {"a": 1}), Question("2", {"b": 1})], "item 2: has no field 'a'"),
    ],
)
async def test_items_that_cannot_be_asked_are_known_before_anything_is_asked(tmp_path, questions, message):
    strategy = Echo(0.01)
    with pytest.raises(ConfigurationError, match=message):
        await evaluate(Suite("s", questions, "{a}", exact), strategy, folder=tmp_path / "out")
    assert not strategy.board.calls
    assert not (tmp_path / "out").exists()


async def test_items_that_can_be_read_once_only_are_refused():
    with pytest.raises(ConfigurationError, match="which can be read once only"):
        Suite("s", iter([Question("1", {"a": 1})]), "{a}", exact)


async def test_a_strategy_is_named_by_its_models_and_what_it_does_with_them():
    cheap, dear = Echo(0.01, "cheap"), Echo(0.01, "dear")
    cheap.model, dear.model = "cheap", "dear"
    ladder = ModelEscalation([cheap, dear])
    for strategy, model, kind in (
        (cheap, "cheap", "model"),
        (ladder, "cheap > dear", "ladder"),
        (ValidationFeedback(ladder), "cheap > dear", "ladder with feedback"),
        (ValidationFeedback(cheap), "cheap", "model with feedback"),
    ):
        result = await evaluate(sums(1), strategy)
        assert (result.model, result.strategy) == (model, kind)


async def test_only_the_first_items_are_asked_where_there_is_a_limit():
    strategy = Calculator()
    assert (await evaluate(sums(10), strategy, limit=3)).items == 3
    assert sum(strategy.board.calls.values()) == 3


@pytest.mark.parametrize("options", [{"samples": 0}, {"limit": 0}])
async def test_counts_below_1_are_refused(options):
    with pytest.raises(ConfigurationError, match="1 or more"):
        await evaluate(sums(1), Calculator(), **options)


async def test_two_results_are_compared_by_their_items(tmp_path):
    await evaluate(sums(30), Calculator(), folder=tmp_path / "a")
    await evaluate(sums(30), CallableStrategy(_nothing), folder=tmp_path / "b")
    found = compare(tmp_path / "a", tmp_path / "b")
    assert (found.items, found.only_first, found.only_second) == (30, 29, 0)
    assert found.difference in found.interval
    assert found.is_shown
    assert "is better than" in str(found)
    same = compare(tmp_path / "a", tmp_path / "a")
    assert not same.is_shown
    assert (same.needed, same.p_value) == (None, 1)
    assert "do not show a difference" in str(same)


async def test_results_of_different_suites_or_items_are_not_compared(tmp_path):
    await evaluate(sums(3), Calculator(), folder=tmp_path / "a")
    other = Suite("other", [Question("x", {"n": 1}, "2")], "{n}", exact)
    await evaluate(other, Echo(0.01), folder=tmp_path / "b")
    with pytest.raises(ConfigurationError, match=r"of the suite sums, and .* of other"):
        compare(tmp_path / "a", tmp_path / "b")
    renamed = Suite("sums", other.items, other.prompt, other.score)
    await evaluate(renamed, Echo(0.01), folder=tmp_path / "c")
    with pytest.raises(ConfigurationError, match="no scored item in common"):
        compare(tmp_path / "a", tmp_path / "c")


async def test_a_damaged_result_is_named(tmp_path):
    await evaluate(sums(2), Calculator(), folder=tmp_path)
    (tmp_path / "transcript.jsonl").write_text(
        '{"item": "0", "sample": 0, "score": 1}\n{"item": "1", "sample": 0, "score": 7}\n'
    )
    with pytest.raises(ConfigurationError, match=r"transcript.jsonl:2: is no sample"):
        list(read_transcript(tmp_path))
    (tmp_path / "result.json").write_text(json.dumps({"suite": "sums"}))
    with pytest.raises(ConfigurationError, match="is no result of a suite"):
        read_result(tmp_path)
    with pytest.raises(ConfigurationError, match="name the folder of a finished"):
        read_result(tmp_path / "nowhere")


async def test_a_score_is_a_share():
    assert Score(True).value == 1
    with pytest.raises(ValueError, match="from 0 to 1"):
        Score(1.5)


async def test_the_journal_has_each_sample(tmp_path):
    await evaluate(sums(3), Calculator(), samples=2, folder=tmp_path)
    with sqlite3.connect(tmp_path / "journal.db") as journal:
        ids = sorted(name for (name,) in journal.execute("SELECT id FROM items"))
    journal.close()
    assert ids == ["0#1", "0#2", "1#1", "1#2", "2#1", "2#2"]
