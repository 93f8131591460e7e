"""A batch whose calls all fail alike stops early, and one in which some are served never does."""

from __future__ import annotations

import logging
import math

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline import (
    CallableStrategy,
    CallError,
    FaultKind,
    LLMWorkItem,
    ParallelBatchProcessor,
    ProcessorConfig,
    RetryPolicy,
    process_prompts,
    run_prompts,
)
from paceline._core.health.systematic_failure import ALIKE, PASSING, PASSING_KINDS, UNREACHED_SECONDS
from paceline._core.pace import PaceController
from paceline.journal import SqliteJournal
from paceline.llm_strategies import ModelEscalation
from paceline.typing import Backoff

from .support import USAGE, Echo, FixedPace, Scripted, add_all
from .test_random import BACKENDS

FAULT_SECONDS = 0.05


class Unlucky(Echo):
    """Rejects some prompts after a moment, and answers the others after `seconds`."""

    def __init__(self, bad, seconds=1.0, kind=FaultKind.REJECTED, quota="unlucky", model="gpt-5-mni"):
        super().__init__(seconds, quota)
        self.bad, self.kind, self.model = frozenset(bad), kind, model

    async def execute(self, prompt, attempt, timeout):
        with self.board.call(prompt):
            if prompt in self.bad:
                await anyio.sleep(FAULT_SECONDS)
                raise CallError(f"404: item {prompt} of '{prompt}': no such model", kind=self.kind)
            await anyio.sleep(self.seconds)
            return prompt.upper(), USAGE


def run(backend, strategy, prompts, *, limit=None, **config):
    pace = PaceController if limit is None else lambda _: FixedPace(limit)

    async def main():
        return await process_prompts(strategy, prompts, pace=pace, config=ProcessorConfig(**config))

    return anyio.run(main, backend=backend, backend_options=BACKENDS[backend]())


def prompts_of(count):
    return [f"q{number}" for number in range(count)]


def kinds_of(batch):
    return {result.item_id: None if result.error is None else result.error.kind for result in batch.results}


SEARCH = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
LIMITS = st.none() | st.integers(1, 40)


@pytest.mark.parametrize("backend", BACKENDS)
@SEARCH
@given(
    bad=st.sets(st.integers(0, 79)),
    good=st.integers(0, ALIKE - 1),
    limit=LIMITS,
    seconds=st.sampled_from([0.01, 1.0, 60.0]),
)
def test_with_a_success_among_its_first_calls_a_batch_is_never_stopped(backend, bad, good, limit, seconds):
    prompts = prompts_of(80)
    strategy = Unlucky({prompts[number] for number in bad - {good}}, seconds)
    batch = run(backend, strategy, prompts, limit=limit)
    assert batch.stopped is None
    assert kinds_of(batch) == {
        str(index): FaultKind.REJECTED if prompt in strategy.bad else None for index, prompt in enumerate(prompts)
    }


@pytest.mark.parametrize("backend", BACKENDS)
@SEARCH
@given(
    count=st.integers(1, 200),
    limit=LIMITS,
    kind=st.sampled_from([FaultKind.REJECTED, FaultKind.BUG, FaultKind.CANCELLED]),
)
def test_if_all_calls_fail_alike_a_batch_stops_after_a_bounded_number_of_them(backend, count, limit, kind):
    prompts = prompts_of(count)
    strategy = Unlucky(prompts, kind=kind)
    batch = run(backend, strategy, prompts, limit=limit)
    calls = sum(strategy.board.calls.values())
    most = ALIKE + (limit or ALIKE)  # those in flight when the tenth fault is known
    assert calls <= min(count, most)
    assert (batch.failures.get(kind), batch.pending) == (calls, count - calls)
    assert len({result.item_id for result in batch.results}) == len(batch.results) == count
    if count > most:
        assert "gpt-5-mni" in batch.stopped.message
        assert "no such model" in batch.stopped.message
        assert [group.kind for group in batch.systematic] == [kind]
        assert all(result.error == batch.stopped for result in batch.results if result.error.kind is FaultKind.PENDING)


@pytest.mark.parametrize("backend", BACKENDS)
@SEARCH
@given(bad=st.sets(st.integers(0, 59)), limit=LIMITS, seconds=st.sampled_from([0.01, 5.0]))
def test_whatever_fails_nothing_is_lost_and_only_items_that_were_not_called_are_pending(backend, bad, limit, seconds):
    prompts = prompts_of(60)
    strategy = Unlucky({prompts[number] for number in bad}, seconds)
    batch = run(backend, strategy, prompts, limit=limit)
    called = set(strategy.board.calls)
    assert {prompts[result.index] for result in batch.results} == set(prompts)
    assert max(strategy.board.calls.values()) == 1
    for result in batch.results:
        prompt = prompts[result.index]
        expected = FaultKind.REJECTED if prompt in strategy.bad else None
        assert (result.error and result.error.kind) == (expected if prompt in called else FaultKind.PENDING)
    assert not (batch.succeeded and batch.pending)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("limit", [None, 7])
def test_keep_going_makes_all_calls(backend, limit):
    batch = run(backend, Unlucky(prompts_of(60)), prompts_of(60), limit=limit, keep_going=True)
    assert (batch.failures, batch.stopped, batch.systematic) == ({FaultKind.REJECTED: 60}, None, ())
    (group,) = batch.messages
    assert group.count == 60


@pytest.mark.anyio
async def test_a_server_that_refuses_connections_is_named_at_once_and_stops_the_batch_soon(caplog):
    calls = []

    async def connect(prompt):
        calls.append(anyio.current_time())
        raise ConnectionRefusedError(111, "Connection refused")

    with caplog.at_level(logging.WARNING, "paceline"):
        began = anyio.current_time()
        batch = await process_prompts(CallableStrategy(connect), prompts_of(1_000))
    took = anyio.current_time() - began
    assert PASSING <= len(calls) <= 4 * PASSING
    assert UNREACHED_SECONDS <= took < 3 * UNREACHED_SECONDS
    assert batch.pending == 1_000
    assert "connection refused" in batch.stopped.message
    (warning,) = [record.message for record in caplog.records if "tried again" in record.message]
    assert warning.startswith(
        "connection refused by the server (ConnectionRefusedError: [Errno 111] Connection refused)"
    )
    assert calls[0] - began < 1.0


@pytest.mark.anyio
async def test_a_server_that_comes_up_within_a_few_seconds_answers_all():
    async def connect(prompt):
        if anyio.current_time() - began < 0.5 * UNREACHED_SECONDS:
            raise ConnectionRefusedError(111, "Connection refused")
        return prompt

    began = anyio.current_time()
    batch = await process_prompts(CallableStrategy(connect), prompts_of(50))
    assert (batch.succeeded, batch.stopped) == (50, None)


@pytest.mark.anyio
async def test_an_outage_after_the_first_answers_never_stops_a_batch():
    async def connect(prompt):
        if 5.0 < anyio.current_time() - began < 300.0:
            raise ConnectionRefusedError(111, "Connection refused")
        await anyio.sleep(1.0)
        return prompt

    began = anyio.current_time()
    config = ProcessorConfig(retry=RetryPolicy(max_attempts=1_000, backoff=Backoff(base=0.1)))
    batch = await process_prompts(CallableStrategy(connect), prompts_of(400), config=config)
    assert (batch.succeeded, batch.stopped) == (400, None)


@pytest.mark.anyio
async def test_a_ladder_whose_top_fails_systematically_goes_on_below():
    prompts = prompts_of(120)
    hard = {prompt for number, prompt in enumerate(prompts) if number % 2}
    invalid = {prompt: [CallError("no JSON", kind=FaultKind.INVALID)] for prompt in hard}
    below, top = Scripted(invalid, quota="below"), Unlucky(prompts, quota="top")
    batch = await process_prompts(ModelEscalation([below, top]), prompts)
    assert batch.succeeded == 60
    assert sum(below.board.calls.values()) == 120
    assert sum(top.board.calls.values()) <= 40
    assert batch.failures[FaultKind.REJECTED] >= ALIKE
    assert batch.failures[FaultKind.REJECTED] + batch.pending == 60
    assert batch.pending > 0
    assert "gpt-5-mni" in batch.stopped.message


@pytest.mark.anyio
async def test_of_two_models_the_one_that_works_goes_on():
    broken, fine = Unlucky(prompts_of(100), quota="broken"), Echo(quota="fine")
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, broken, prompts_of(100))
        for number in range(50):
            await processor.add_work(LLMWorkItem(item_id=f"fine {number}", strategy=fine, prompt="x"))
        batch = await processor.process_all()
    assert batch.succeeded == 50
    assert batch.pending == 100 - batch.failures[FaultKind.REJECTED] >= 100 - 2 * ALIKE
    (group,) = batch.systematic
    assert (group.kind, group.count) == (FaultKind.REJECTED, ALIKE)


@pytest.mark.anyio
async def test_a_later_batch_of_the_same_processor_is_judged_by_itself():
    broken = Unlucky(prompts_of(100))
    async with ParallelBatchProcessor() as processor:
        for run_number in range(2):
            await add_all(processor, broken, [f"q{n}" for n in range(30)])
            batch = await processor.process_all()
            assert ALIKE <= batch.failures[FaultKind.REJECTED] <= 2 * ALIKE, run_number
            assert batch.total_items == 30
        statistics = processor.statistics()
    (group,) = statistics.faults
    assert group.count == sum(broken.board.calls.values()) >= 2 * ALIKE
    assert (statistics.failed, statistics.pending) == (group.count, 60 - group.count)


def test_a_journal_resumes_what_a_systematic_failure_left(tmp_path):
    async def fail(prompt):
        raise CallError("no such model", kind=FaultKind.REJECTED)

    async def answer(prompt):
        return prompt

    first = run_prompts(CallableStrategy(fail, quota="one"), prompts_of(100), journal=tmp_path / "j")
    assert (first.failures, first.succeeded) == ({FaultKind.REJECTED: ALIKE, FaultKind.PENDING: 100 - ALIKE}, 0)
    journal = SqliteJournal(tmp_path / "j", accept_changes=True)
    second = run_prompts(CallableStrategy(answer, quota="one"), prompts_of(100), journal=journal)
    assert (second.succeeded, second.pending, second.stopped) == (100 - ALIKE, 0, None)


@pytest.mark.anyio
async def test_a_batch_logs_a_few_lines_however_many_calls_fail(caplog):
    async def fail(prompt):
        raise ValueError(f"bad prompt {prompt}")

    with caplog.at_level(logging.INFO, "paceline"):
        batch = await process_prompts(CallableStrategy(fail), prompts_of(200), config=ProcessorConfig(keep_going=True))
    assert batch.failures == {FaultKind.BUG: 200}
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) <= 8
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"] * 3
    assert any(message.endswith(" 0 succeeded, 200 failed, 0 pending") for message in messages)
    assert "failed: 200 × bug: ValueError: bad prompt q0" in messages


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [FaultKind.OVERLOADED, FaultKind.TRANSIENT])
async def test_a_provider_that_is_down_from_the_start_stops_the_batch_when_patience_ends(kind):
    async def fail(prompt):
        await anyio.sleep(0.1)
        raise CallError("no capacity", kind=kind)

    batch = await process_prompts(CallableStrategy(fail), prompts_of(1_000))
    assert 900.0 <= batch.seconds < 3_600.0
    assert batch.pending >= 990
    assert "no capacity" in batch.stopped.message


@pytest.mark.anyio
@pytest.mark.parametrize("count", [1, 2, 20, 400])
@pytest.mark.parametrize(
    "config", [{}, {"keep_going": True}, {"max_workers": 1}, {"retry": RetryPolicy(max_attempts=1_000)}]
)
@pytest.mark.parametrize("first_answers", [0.0, 0.5])
async def test_a_batch_ends_although_its_provider_is_never_back(count, config, first_answers):
    began = anyio.current_time()

    async def connect(prompt):
        await anyio.sleep(0.1)
        if anyio.current_time() - began >= first_answers:
            raise ConnectionRefusedError(111, "Connection refused")
        return prompt

    with anyio.fail_after(4 * 3_600):
        batch = await process_prompts(CallableStrategy(connect), prompts_of(count), config=ProcessorConfig(**config))
    assert len(batch.results) == count
    assert set(batch.failures) <= {FaultKind.TRANSIENT, FaultKind.PENDING}
    assert not batch.pending or "connection refused" in batch.stopped.message


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [1, 4, None])
async def test_two_items_that_always_time_out_never_stop_a_batch(limit):
    async def answer(prompt):
        await anyio.sleep(math.inf if prompt in {"q3", "q4"} else 1.0)
        return prompt

    config = ProcessorConfig(timeout_per_item=600, max_workers=limit or 1_000)
    batch = await process_prompts(CallableStrategy(answer), prompts_of(30), config=config)
    assert (batch.succeeded, batch.failures, batch.stopped) == (28, {FaultKind.TIMEOUT: 2}, None)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", sorted(PASSING_KINDS))
def test_repeated_passing_faults_are_logged_soon_and_then_ever_more_rarely(backend, kind, caplog):
    caplog.set_level(logging.WARNING, "paceline")
    strategy = Unlucky(prompts_of(30), kind=kind)
    batch = run(
        backend, strategy, prompts_of(30), limit=30, deadline=200, keep_going=True, retry=RetryPolicy(max_attempts=50)
    )
    logged = [record.message for record in caplog.records if "tried again" in record.message]
    assert "such model; calls of gpt-5-mni are tried again" in logged[0]
    assert 1 < len(logged) <= 3
    assert batch.pending + batch.failed
    assert batch.faults[0].kind is kind
    assert batch.faults[0].count > 30
    assert "no such model" in batch.summary()


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_passing_fault_in_a_healthy_run_is_not_logged_as_a_warning(backend, caplog):
    class Once(Unlucky):
        async def execute(self, prompt, attempt, timeout):
            if prompt in self.bad and attempt > 1:
                return prompt.upper(), USAGE
            return await super().execute(prompt, attempt, timeout)

    caplog.set_level(logging.INFO, "paceline")
    batch = run(backend, Once({"q0"}, kind=FaultKind.TRANSIENT), prompts_of(30))
    assert (batch.succeeded, batch.faults[0].count) == (30, 1)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
