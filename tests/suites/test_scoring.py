"""Scoring in a thread: a scorer may block, fail in any way, or never return, and the others are scored."""

import threading
import time

import pytest
import trio
from trio.testing import MockClock

from paceline import CallableStrategy
from paceline.suites import Question, Score, Suite, evaluate, exact
from paceline.suites.scoring import LONGEST, score_all


def answers(scorer, count=3):
    questions = [Question(str(n), {"n": n}, "2") for n in range(count)]
    return Suite("s", questions, "{n}", scorer)


async def _two(_prompt):
    return "2"


def run(scorer, **options):
    return trio.run(lambda: evaluate(answers(scorer), CallableStrategy(_two), **options))


@pytest.mark.parametrize(
    ("value", "reason", "is_awaited"),
    [
        (None, "not NoneType", False),
        (1.0, "not float", True),
        (KeyError("x"), "KeyError", False),
        (KeyError("x"), "KeyError", True),
        (SystemExit(1), "sys.exit", False),
    ],
)
def test_whatever_a_scorer_does_is_a_defect_of_that_score_alone(tmp_path, value, reason, is_awaited):
    def score(item, output):
        if item.id == "1":
            if isinstance(value, BaseException):
                raise value
            return value
        return exact(item, output)

    async def awaited(item, output):
        return score(item, output)

    result = run(awaited if is_awaited else score, folder=tmp_path)
    assert (result.scored, result.unscored, result.is_complete, result.accuracy) == (2, 1, False, 1)
    assert reason in (tmp_path / "transcript.jsonl").read_text()


def test_a_scorer_that_never_returns_costs_its_score_and_the_others_are_scored(tmp_path):
    forever = threading.Event()

    def score(item, output):
        if item.id == "1":
            forever.wait()
        return exact(item, output)

    clock = MockClock(autojump_threshold=0.2)  # a thread is no task: the clock must not jump while one works
    try:
        result = trio.run(
            lambda: evaluate(answers(score), CallableStrategy(_two), folder=tmp_path, progress_period=1_000),
            clock=clock,
        )
    finally:
        forever.set()
    assert (result.scored, result.unscored, result.accuracy) == (2, 1, 1)
    assert result.seconds >= LONGEST
    assert f"took more than {LONGEST:g} s" in (tmp_path / "transcript.jsonl").read_text()


def test_what_a_scorer_returns_after_it_was_given_up_is_discarded():
    late, returned, noted = threading.Event(), threading.Event(), []

    def score(job):
        if job == "slow":
            late.wait()
            returned.set()
        return Score(1), None

    async def main():
        await score_all(["slow", "next"], score, lambda job, scored: noted.append((job, scored[0])), lambda: None)
        late.set()
        await trio.to_thread.run_sync(returned.wait)
        await trio.to_thread.run_sync(time.sleep, 0.05)  # the thread would note it now

    trio.run(main, clock=MockClock(autojump_threshold=0.2))
    assert noted == [("slow", None), ("next", Score(1))]


def test_a_suite_whose_scorer_hangs_can_be_cancelled():
    forever = threading.Event()

    def score(_item, _output):
        forever.wait()

    async def main():
        with trio.move_on_after(1) as scope:
            await evaluate(answers(score), CallableStrategy(_two), progress_period=1_000)
        return scope.cancelled_caught

    try:
        assert trio.run(main, clock=MockClock(autojump_threshold=0.2))
    finally:
        forever.set()
