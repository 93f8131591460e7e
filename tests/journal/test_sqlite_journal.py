"""SQLite journal as the engine uses it: committed results are restored, and no call is paid for twice."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import threading
from functools import partial

import anyio
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline import (
    CallableStrategy,
    CallError,
    LLMCallStrategy,
    ParallelBatchProcessor,
    TokenUsage,
    WorkItemResult,
    process_prompts,
    run_prompts,
)
from paceline._core.fault import TRANSIENT_KINDS, Fault, FaultKind
from paceline._core.prompt import content_key
from paceline._core.results import Attempt
from paceline.abc import Ladder
from paceline.exceptions import ConfigurationError, JournalChangedError, JournalError, MisuseError, UnsavedError
from paceline.journal import SqliteJournal
from paceline.journal.items import RegisteredItem
from paceline.journal.reader import JournalReader
from paceline.journal.recall import kinds_to_retry
from paceline.journal.writer import JournalWriter
from paceline.llm_strategies import EscalationPolicy

from ..search import examples
from .support import UPPER, done, failed, item, rows, started_writer, upper

COUNTS = st.integers(0, 2**53 - 1)
USAGES = st.builds(TokenUsage, COUNTS, COUNTS, COUNTS, COUNTS)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
FAULTS = st.builds(Fault, st.sampled_from(sorted(set(FaultKind) - {FaultKind.PENDING})), TEXTS)
SECONDS = st.floats(0, 1e9)
ATTEMPTS = st.builds(
    Attempt, st.integers(1, 99), SECONDS, SECONDS, TEXTS, USAGES, st.none() | FAULTS, st.none() | TEXTS
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
ANSWERED = st.builds(lambda output: {"output": output}, JSON)
FAILED = st.builds(lambda fault: {"error": fault}, FAULTS)
RESULTS = st.builds(
    lambda end, usage, attempts, refusals, model: WorkItemResult(
        "", 0, usage=usage, attempts=tuple(attempts), refusals=refusals, model=model, **end
    ),
    ANSWERED | FAILED, USAGES, st.lists(ATTEMPTS, max_size=4), st.integers(0, 10**6), st.none() | TEXTS,
)  # fmt: skip


async def opened(path, **options):
    journal = SqliteJournal(path, **options)
    await journal.open()
    return journal


@settings(deadline=None, max_examples=examples(25))
@given(results=st.lists(RESULTS, min_size=1, max_size=8), runs=st.integers(1, 3))
def test_what_was_committed_comes_back_equal(tmp_path_factory, results, runs):
    path = tmp_path_factory.mktemp("equal") / "run.db"
    items = [item(f"i{number}", context=number) for number in range(len(results))]
    given_ = [attrs.evolve(r, item_id=one.item_id, context=one.context) for r, one in zip(results, items, strict=True)]

    async def main():
        journal = await opened(path, retry="none")
        assert await journal.recall(items) == [None] * len(items)
        await journal.commit(given_, {})
        for _ in range(runs):
            assert await journal.recall(items) == given_
            await journal.close()
            journal = await opened(path, retry="none")
        assert await journal.recall(items[::-1]) == given_[::-1]
        await journal.close()

    anyio.run(main, backend="trio")


# ------------------------------------------------------------------------------------------------ which are run again


@pytest.mark.parametrize("kind", sorted(FaultKind))
@pytest.mark.parametrize("retry", ["transient", "failed", "none", (FaultKind.REFUSED,), ["invalid", "timeout"], ()])
def test_failed_items_run_again_if_their_kind_of_fault_is_retried(path, kind, retry):
    again = {
        "transient": kind in TRANSIENT_KINDS,
        "failed": True,
        "none": False,
    }.get(retry, kind in retry) if isinstance(retry, str) else kind in retry  # fmt: skip

    async def main():
        journal = await opened(path, retry=retry)
        await journal.recall([item("a")])
        await journal.commit([failed("a", kind)], {})
        (kept,) = await journal.recall([item("a")])
        await journal.close()
        assert (kept is None) == (again or kind is FaultKind.PENDING)

    anyio.run(main, backend="trio")


@pytest.mark.parametrize("retry", ["all", "", "refused", ["no-kind"], [3], 5, None])
def test_an_invalid_retry_is_refused(path, retry):
    with pytest.raises(ConfigurationError, match="retry must be transient, failed, none, or kinds of faults, not "):
        SqliteJournal(path, retry=retry)
    assert not os.path.exists(path)  # noqa: PTH110 - a text


def test_passing_faults_are_retried_by_default():
    assert kinds_to_retry("transient") == {str(kind) for kind in TRANSIENT_KINDS}
    assert FaultKind.REFUSED not in TRANSIENT_KINDS
    assert FaultKind.REJECTED not in TRANSIENT_KINDS


# ------------------------------------------------------------------------------------------------ batches


@pytest.mark.anyio
async def test_a_second_batch_does_only_what_is_missing(path):
    called = []

    async def answer(prompt):
        called.append(prompt)
        if prompt == "bad" and len(called) < 5:
            raise CallError("down", kind=FaultKind.REJECTED)
        return {"said": prompt}, TokenUsage(3, 4)

    strategy = CallableStrategy(answer, model="m")
    first = await process_prompts(strategy, ["a", "bad", "c"], journal=path)
    again = await process_prompts(strategy, ["a", "bad", "c", "d"], journal=path)
    assert sorted(called) == ["a", "bad", "c", "d"]
    assert (again.recalled, again.failures, again.usage) == (3, {FaultKind.REJECTED: 1}, TokenUsage(3, 4))
    before = {result.item_id: result for result in first.results}
    assert all(result == before[result.item_id] for result in again.results if result.item_id != "3")
    third = await process_prompts(strategy, ["a", "bad"], journal=SqliteJournal(path, retry="failed"))
    assert (third.recalled, third.succeeded, called[-1]) == (1, 2, "bad")


@pytest.mark.anyio
async def test_a_delivered_result_is_in_the_file(path):
    seen = []
    async with (
        ParallelBatchProcessor(journal=path) as processor,
        processor.stream([item(str(i)) for i in range(50)]) as results,
    ):
        async for result in results:
            seen.append(result.item_id)
            with JournalReader(path) as reader:
                assert result.item_id in {kept.id for kept in reader.results()}
    assert len(seen) == 50


@pytest.mark.anyio
async def test_a_slow_disk_does_not_block_the_event_loop(path):
    import sqlite3  # noqa: PLC0415
    import time  # noqa: PLC0415

    main_thread, threads = threading.get_ident(), set()

    class Slow(sqlite3.Connection):
        def execute(self, *arguments):
            threads.add(threading.get_ident())
            if arguments[0] == "COMMIT":
                time.sleep(0.05)
            return super().execute(*arguments)

    ticks = []

    async def tick():
        while True:
            ticks.append(anyio.current_time())
            await anyio.sleep(0.005)

    def connect(*arguments, **options):
        return sqlite3.connect(*arguments, factory=Slow, **options)

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(tick)
        await process_prompts(UPPER, ["a", "b"], journal=SqliteJournal(path, connect=connect))
        nursery.cancel_scope.cancel()
    assert main_thread not in threads
    assert len(ticks) > 15


@pytest.mark.anyio
async def test_items_with_the_same_prompt_share_a_call_within_and_across_batches(path):
    called = []

    async def answer(prompt):
        called.append(prompt)
        return prompt, TokenUsage(1, 1)

    strategy = CallableStrategy(answer)
    first = await process_prompts(strategy, ["x"] * 4, journal=path)
    assert (called, first.succeeded, first.usage) == (["x"], 4, TokenUsage(1, 1))
    assert len(rows(path)) == 4
    second = await process_prompts(strategy, ["x"] * 6, journal=path)
    assert (called, second.recalled, second.usage) == (["x"], 6, TokenUsage())
    assert len(rows(path)) == 6
    with JournalReader(path) as reader:
        ((use, _),) = reader.models()
        assert (use.calls, use.usage) == (1, TokenUsage(1, 1))
        assert [kept.attempts for kept in reader.results()] == [1, 0, 0, 0, 0, 0]


@pytest.mark.anyio
async def test_without_dedupe_each_item_has_its_call(path):
    called = []

    async def answer(prompt):
        called.append(prompt)
        return prompt

    journal = SqliteJournal(path, dedupe=False)
    assert journal.key_of(item("a")) is None
    await process_prompts(CallableStrategy(answer), ["x"] * 4, journal=journal)
    await process_prompts(CallableStrategy(answer), ["x"] * 6, journal=SqliteJournal(path, dedupe=False))
    assert len(called) == 6


@pytest.mark.anyio
async def test_a_failure_is_not_shared_with_items_of_a_later_batch(path):
    async with ParallelBatchProcessor(journal=path) as processor:
        await processor.add_work(item("a", "x"))
        await processor.process_all()
    with JournalWriter(path) as writer:
        writer.begin_run()
        writer.commit([failed("a", FaultKind.REFUSED)], {})
    async with ParallelBatchProcessor(journal=path) as processor:
        await processor.add_work(item("b", "x"))
        batch = await processor.process_all()
    assert (batch.succeeded, batch.recalled) == (1, 0)


@pytest.mark.anyio
async def test_strategies_of_different_identities_share_no_call(path):
    one, other = CallableStrategy(upper, model="m-1"), CallableStrategy(upper, model="m-2")
    async with ParallelBatchProcessor(journal=path) as processor:
        for name, strategy in (("a", one), ("b", other)):
            await processor.add_work(item(name, "x", strategy))
        assert (await processor.process_all()).recalled == 0
        await processor.add_work(item("c", "x", CallableStrategy(upper, model="m-2")))
        batch = await processor.process_all()
    assert (batch.recalled, batch.results[0].model) == (1, "m-2")


@pytest.mark.anyio
async def test_strategies_of_one_identity_share_a_call(path):
    async with ParallelBatchProcessor(journal=path) as processor:
        for name in ("a", "b"):
            await processor.add_work(item(name, "x", CallableStrategy(upper, model="m")))
        batch = await processor.process_all()
    assert (batch.succeeded, batch.recalled) == (2, 1)


@pytest.mark.anyio
async def test_a_result_stays_that_of_the_strategy_that_made_it(path):
    one, other = CallableStrategy(upper, model="m-1"), CallableStrategy(upper, model="m-2")
    await process_prompts(one, ["x"], journal=path)
    journal = SqliteJournal(path, accept_changes=True)
    async with ParallelBatchProcessor(journal=journal) as processor:
        for name in ("0", "new"):
            await processor.add_work(item(name, "x", other))
        batch = await processor.process_all()
    assert {result.item_id: result.model for result in batch.results} == {"0": "m-1", "new": "m-2"}
    assert batch.recalled == 1


class Typed(LLMCallStrategy):
    """Returns complex numbers, which JSON does not have."""

    def __init__(self, works=True):
        self.works = works
        self.called = []

    async def execute(self, prompt, attempt, timeout):
        self.called.append(prompt)
        return complex(prompt), None

    def restore(self, data):
        if not self.works:
            raise ValueError(data)
        return complex(data)


@pytest.mark.anyio
async def test_an_output_is_restored_by_its_strategy(path):
    await process_prompts(Typed(), ["1+2j", "3j"], journal=path)
    again = Typed()
    batch = await process_prompts(again, ["1+2j", "3j"], journal=path)
    assert {result.output for result in batch.results} == {1 + 2j, 3j}
    assert again.called == []


@pytest.mark.anyio
async def test_an_item_whose_output_cannot_be_restored_is_called_again(path, caplog):
    await process_prompts(Typed(), ["1+2j", "3j"], journal=path)
    again = Typed(works=False)
    batch = await process_prompts(again, ["1+2j", "3j"], journal=path)
    assert sorted(again.called) == ["1+2j", "3j"]
    assert (batch.succeeded, batch.recalled) == (2, 0)
    assert "Typed.restore failed, so '0' runs again: ValueError" in caplog.text


# ------------------------------------------------------------------------------------------------ what has changed


@pytest.mark.anyio
async def test_a_changed_prompt_is_refused_before_any_call(path):
    await process_prompts(UPPER, ["a", "b"], journal=path)
    called = []

    async def answer(prompt):
        called.append(prompt)

    other = CallableStrategy(answer, quota="upper")
    with pytest.raises(JournalChangedError, match=r"run\.db: the prompt of '1' has changed") as raised:
        await process_prompts(UPPER, ["a", "x"], journal=path)
    assert raised.value.changes == ("the prompt of '1' has changed",)
    assert str(raised.value).endswith("; set SqliteJournal(accept_changes=True) to accept this, or use another journal")
    with pytest.raises(JournalChangedError):
        await process_prompts(other, ["a", "b", "new"], journal=path)
    assert called == []
    assert len(rows(path, "SELECT * FROM items")) == 2, "no item of a refused set is registered"


@pytest.mark.anyio
async def test_changes_that_are_accepted_are_run(path):
    await process_prompts(UPPER, ["a", "b"], journal=path)
    batch = await process_prompts(UPPER, ["a", "x"], journal=SqliteJournal(path, accept_changes=True))
    assert {result.output for result in batch.results} == {"A", "X"}
    assert batch.recalled == 1


@pytest.mark.anyio
async def test_the_identity_of_a_ladder_is_that_of_its_steps(path):
    class Climbs(LLMCallStrategy):
        def __init__(self, *models):
            self.ladder = Ladder([CallableStrategy(upper, model=model) for model in models], EscalationPolicy())

        async def execute(self, prompt, attempt, timeout):
            raise NotImplementedError

    await process_prompts(Climbs("small", "large"), ["a"], journal=path)
    with pytest.raises(JournalChangedError, match=r"step 2: model was large, is huge"):
        await process_prompts(Climbs("small", "huge"), ["a"], journal=path)


# ------------------------------------------------------------------------------------------------ opening and closing


@pytest.mark.anyio
async def test_a_journal_is_used_only_while_it_is_open(path):
    journal = SqliteJournal(path)
    with pytest.raises(MisuseError, match="the journal is not open"):
        await journal.commit([], {})
    await journal.close()
    await process_prompts(UPPER, ["a"], journal=journal)
    await process_prompts(UPPER, ["a"], journal=journal)
    with pytest.raises(MisuseError, match="the journal is not open"):
        await journal.recall([item("a")])


@pytest.mark.anyio
async def test_a_cancelled_processor_releases_its_journal(path):
    called = anyio.Event()

    async def answer(_prompt):
        called.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(partial(process_prompts, CallableStrategy(answer), ["a"], journal=path))
        await called.wait()
        nursery.cancel_scope.cancel()
    with JournalWriter(path) as writer:
        assert [row[0] for row in rows(path, "SELECT ended IS NOT NULL FROM runs")] == [1]
        assert writer.begin_run() == 2


@pytest.mark.anyio
async def test_a_writer_that_was_open_stays_open(path):
    with JournalWriter(path) as writer:
        strategy = writer.items.strategy_number(UPPER.identity)
        for run, name in enumerate("ab", 1):
            writer.items.register([RegisteredItem(name, content_key(name), strategy)], accept_changes=False)
            async with ParallelBatchProcessor(journal=SqliteJournal.on(writer)) as processor:
                await processor.add_work(item(name))
                assert (await processor.process_all()).succeeded == 1
            assert len(rows(path, "SELECT * FROM runs WHERE ended IS NOT NULL")) == run
    assert rows(path) == [("a",), ("b",)]


@pytest.mark.anyio
async def test_the_result_of_an_unregistered_item_is_not_lost_silently(path):
    with JournalWriter(path) as writer, pytest.raises(UnsavedError, match="an item that is not registered") as raised:
        await process_prompts(UPPER, ["a"], journal=SqliteJournal.on(writer))
    assert [result.output for result in raised.value.unsaved] == ["A"]


@pytest.mark.anyio
async def test_another_program_may_read_while_a_batch_runs(path):
    async def answer(prompt):
        await anyio.to_thread.run_sync(rows, path)
        with JournalReader(path) as reader:
            assert reader.writer() == os.getpid()
        with pytest.raises(JournalError):
            JournalWriter(path)
        return prompt

    prompts = [str(i) for i in range(20)]
    assert (await process_prompts(CallableStrategy(answer), prompts, journal=path)).succeeded == 20
    assert len(rows(path)) == 20


def test_the_repr_of_a_journal_names_its_file(path):
    assert repr(SqliteJournal(path)) == f"SqliteJournal({path!r})"


# ------------------------------------------------------------------------------------------------ odd items, and size


@pytest.mark.anyio
@pytest.mark.parametrize("odd", ["\ud800", "a\0b", "😀", "'; DROP TABLE items; --", "\\ud800"])
async def test_odd_texts_are_ids_prompts_and_outputs(path, odd):
    for recalled in (0, 1):
        async with ParallelBatchProcessor(journal=path) as processor:
            await processor.add_work(item(odd, odd, CallableStrategy(upper, model=odd), context={"odd": odd}))
            batch = await processor.process_all()
        assert batch.recalled == recalled
        (result,) = batch.results
        assert (result.item_id, result.context) == (odd, {"odd": odd})
        assert result.output == (odd.upper() if not recalled else odd.upper().encode("utf-8", "replace").decode())


@pytest.mark.anyio
async def test_a_message_of_a_fault_may_be_odd(path):
    async def answer(prompt):
        raise CallError("a\0b\ud800c", kind=FaultKind.REFUSED)

    for _ in range(2):
        batch = await process_prompts(CallableStrategy(answer), ["x"], journal=path)
        assert batch.failures == {FaultKind.REFUSED: 1}
    assert batch.recalled == 1
    assert batch.results[0].error.message == "CallError: a\\x00b\\ud800c"


def test_an_output_that_is_not_a_json_number_is_null(path):
    async def answer(prompt):
        return [math.nan, {1: prompt}]

    run_prompts(CallableStrategy(answer), ["x"], journal=path)
    assert run_prompts(CallableStrategy(answer), ["x"], journal=path).results[0].output == [None, {"1": "x"}]


def test_a_record_takes_at_most_500_bytes_beside_its_output(path):
    number, output = 3_000, "x" * 200
    names = [f"3fa85f64-5717-4562-b3fc-{i:012x}" for i in range(number)]
    attempts = (
        Attempt(
            1,
            12345.678901,
            1.234567,
            "gemini:gemini-2.5-flash-lite",
            TokenUsage(1234, 567),
            None,
            "gemini-2.5-flash-lite",
        ),
    )
    fields = {"usage": TokenUsage(1234, 567), "attempts": attempts, "model": "gemini-2.5-flash-lite"}
    with started_writer(path, *names) as writer:
        for start in range(0, number, 100):
            writer.commit([done(name, output, **fields) for name in names[start : start + 100]], {})
    beside = os.path.getsize(path) / number - len(json.dumps(output))  # noqa: PTH202 - a text
    assert beside <= 500, beside


class _Refusing(sqlite3.Connection):
    """A connection whose commits can be made to fail."""

    refuses = False

    def execute(self, sql, *parameters):
        if sql == "COMMIT" and _Refusing.refuses:
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *parameters)


@pytest.mark.anyio
async def test_a_result_is_never_stored_for_an_item_that_has_the_number_of_one_whose_registration_failed(path):
    journal = await opened(path, connect=partial(sqlite3.connect, factory=_Refusing))
    await journal.recall([item("of the same strategy")])
    _Refusing.refuses = True
    try:
        with pytest.raises(JournalError, match="disk I/O error"):
            await journal.recall([item("a")])
    finally:
        _Refusing.refuses = False
    await journal.recall([item("b")])
    with pytest.raises(JournalError, match="not registered"):
        await journal.commit([done("a")], {})
    await journal.commit([done("b")], {})
    await journal.close()
    assert rows(path) == [("b",)]
