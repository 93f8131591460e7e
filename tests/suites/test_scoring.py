"""Scoring in a thread: a scorer may block, fail in any way, or never return, and the others are scored."""

import threading
import time

import pytest
import trio

from paceline import CallableStrategy
from paceline.exceptions import ConfigurationError
from paceline.suites import Question, Score, Suite, evaluate, exact
from paceline.suites.scoring import ScoringThread


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


def scored(jobs, score, longest=0.1):
    noted, flushed = [], []
    thread = ScoringThread(score, lambda job, found: noted.append((job, found)), lambda: flushed.append(1), longest)

    async def main():
        await thread.score_all(jobs)

    try:
        trio.run(main)
    finally:
        thread.close()
    assert flushed == [1]
    return noted


def test_a_score_that_takes_too_long_is_given_up_and_the_others_are_scored():
    late, returned = threading.Event(), threading.Event()

    def score(job):
        if job == "slow":
            late.wait()
            returned.set()
        return Score(1), None

    noted = scored(["first", "slow", "next", "slow", "last"], score)
    assert [job for job, _ in noted] == ["first", "slow", "next", "slow", "last"]
    assert [found[0] is not None for _, found in noted] == [True, False, True, False, True]
    assert str(noted[1][1][1]) == "the scorer took more than 0.1 s"
    late.set()
    assert returned.wait(5)
    time.sleep(0.05)  # its thread would note it now
    assert len(noted) == 5


def test_slow_scores_that_are_each_short_enough_are_all_taken():
    def score(job):
        time.sleep(0.03)
        return Score(job), None

    assert [found for _, found in scored([0, 1, 0, 1, 0, 1], score)] == [(Score(n % 2), None) for n in range(6)]


def test_that_nothing_can_be_scored_is_raised():
    def score(_job):
        raise ConfigurationError("no sandbox")

    with pytest.raises(ConfigurationError, match="no sandbox"):
        scored([1, 2], score)


def test_a_suite_whose_scorer_hangs_can_be_cancelled_and_its_thread_ends_once_it_returns():
    forever, started = threading.Event(), threading.Event()

    def score(_item, _output):
        started.set()
        forever.wait()

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(evaluate, answers(score), CallableStrategy(_two))
            await trio.to_thread.run_sync(started.wait)
            nursery.cancel_scope.cancel()

    trio.run(main)
    forever.set()
    for thread in threading.enumerate():
        if thread.name == "paceline scorer":
            thread.join(5)
            assert not thread.is_alive()
