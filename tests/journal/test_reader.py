"""Reader: its answers agree with a count by hand."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline._codec import encode_row
from paceline._core.accounting import Price
from paceline._core.fault import FaultKind
from paceline.exceptions import JournalError
from paceline.journal.reader import JournalReader, has_place
from paceline.journal.writer import JournalWriter

from ..search import examples
from .support import IDENTITY, Reading, attempt, done, failed, register, registered_items, started_writer

KINDS = [None, FaultKind.REFUSED, FaultKind.TRANSIENT, FaultKind.PENDING]
FATES = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 3), st.booleans(), st.booleans()), max_size=60)
"""Fates of items: kind of fault, refusals, whether they are gone, whether they have a place."""


def fill(path, fates):
    """Write a journal whose items have these fates."""
    writer = started_writer(path)
    items = [
        attrs.evolve(*registered_items(writer, f"i{number}"), place=number * 7 % 61 + 1 if placed else None)
        for number, (*_, placed) in enumerate(fates)
    ]
    writer.items.register(items, accept_changes=False)
    for number, (kind, refusals, _, _) in reversed(list(enumerate(fates))):
        name = f"i{number}"
        writer.commit(
            [done(name, number, refusals=refusals) if kind is None else failed(name, kind, refusals=refusals)], {}
        )
    writer.items.mark_all_gone()
    writer.items.register(
        [item for item, (_, _, gone, _) in zip(items, fates, strict=True) if not gone], accept_changes=False
    )
    writer.close()
    return items


@settings(deadline=None, max_examples=examples(40))
@given(fates=FATES)
def test_counts_agree_with_a_count_by_hand(tmp_path_factory, fates):
    path = tmp_path_factory.mktemp("counts") / "run.db"
    fill(path, fates)
    there = [(kind, refusals) for kind, refusals, gone, _ in fates if not gone]
    kinds = Counter(kind for kind, _ in there)
    with JournalReader(path) as reader:
        counts = reader.counts()
        assert (counts.total, counts.succeeded, counts.pending) == (len(there), kinds[None], kinds[FaultKind.PENDING])
        assert counts.failures == {str(k): n for k, n in kinds.items() if k not in {None, FaultKind.PENDING}}
        assert counts.settled == len(there) - kinds[FaultKind.PENDING]
        assert counts.refusals == sum(refusals for kind, refusals in there if kind is not FaultKind.PENDING)
        assert counts.last == sum(kind is not FaultKind.PENDING for kind, *_ in fates)


@settings(deadline=None, max_examples=examples(40))
@given(fates=FATES, after=st.integers(0, 70))
def test_results_come_in_the_order_of_commits_or_of_the_input(tmp_path_factory, fates, after):
    path = tmp_path_factory.mktemp("results") / "run.db"
    items = fill(path, fates)
    settled = [(number, fate) for number, fate in enumerate(fates) if fate[0] is not FaultKind.PENDING]
    committed = [(seq, number, fate) for seq, (number, fate) in enumerate(reversed(settled), 1) if not fate[2]]
    with JournalReader(path) as reader:
        assert [(kept.seq, kept.id) for kept in reader.results(after=after)] == [
            (seq, f"i{number}") for seq, number, _ in committed if seq > after
        ]
        in_order = sorted((number for _, number, _ in committed), key=lambda number: (items[number].place or 0, number))
        assert [kept.id for kept in reader.results(in_input_order=True)] == [f"i{number}" for number in in_order]
        assert {kept.id for kept in reader.results(failed=True)} == {f"i{n}" for _, n, fate in committed if fate[0]}
        waiting = [n for n, fate in enumerate(fates) if fate[0] is FaultKind.PENDING and not fate[2]]
        assert set(reader.pending_ids()) == {f"i{number}" for number in waiting}


@settings(deadline=None, max_examples=examples(40))
@given(
    fates=FATES,
    kinds=st.sets(st.sampled_from(["refused", "transient"])),
    settled=st.booleans(),
    unsettled=st.booleans(),
)
def test_places_have_a_bit_for_each_selected_item(tmp_path_factory, fates, kinds, settled, unsettled):
    path = tmp_path_factory.mktemp("places") / "run.db"
    items = fill(path, fates)
    meant = set()
    for item, (kind, _, gone, placed) in zip(items, fates, strict=True):
        if placed and not gone:
            pending = kind is FaultKind.PENDING
            if (pending and unsettled) or (not pending and (settled or str(kind) in kinds)):
                meant.add(item.place)
    with JournalReader(path) as reader:
        bits = reader.places(failed=kinds, settled=settled, unsettled=unsettled)
        assert {place for place in range(70) if has_place(bits, place)} == meant
        assert not reader.places()


def test_places_of_a_long_input_take_a_bit_each(path):
    writer = started_writer(path)
    (item,) = registered_items(writer, "a")
    writer.items.register([attrs.evolve(item, place=1_000_000)], accept_changes=False)
    bits = Reading(path).places(unsettled=True)
    assert has_place(bits, 1_000_000)
    assert not has_place(bits, 999_999)
    assert not has_place(bits, 10**9)
    assert len(bits) < 260_000
    writer.close()


def test_more_results_than_one_fetch_are_all_read(path):
    names = [str(i) for i in range(2_500)]
    with started_writer(path, *names) as writer:
        writer.commit([done(name) for name in names], {})
    with JournalReader(path) as reader:
        assert [kept.id for kept in reader.results()] == names


def test_models_have_the_sums_of_all_runs(path):
    with started_writer(path, "a", "b") as writer:
        writer.commit([failed("a", attempts=(attempt(fault=failed("a").error),))], {"m-1": Price(1e6, 0)})
    with started_writer(path) as writer:
        writer.commit([done("a", attempts=(attempt(),)), done("b", attempts=(attempt(),))], {"m-1": Price(1e6, 0)})
    with JournalReader(path) as reader:
        ((use, cost),) = reader.models()
    assert (use.model, use.calls, use.accepted, use.usage.input_tokens, cost) == ("m-1", 3, 2, 15, 15.0)


def test_a_cost_with_an_unknown_part_is_unknown(path):
    with started_writer(path, "a", "b") as writer:
        writer.commit([done("a", attempts=(attempt(),))], {"m-1": Price(1, 1)})
        writer.commit([done("b", attempts=(attempt(),))], {})
    assert Reading(path).models()[0][1] is None


def test_a_row_of_the_journal_is_the_row_of_the_result(path):
    results = [
        done("a", {"x": [1, "\ud800"]}, attempts=(attempt(1), attempt(2)), context={"n": 1}, model="m-1"),
        failed("b", message='a "bad"\n day', usage=attempt().usage),
        done("\u2028", None),
    ]
    with started_writer(path, *(result.item_id for result in results)) as writer:
        writer.commit(results, {})
    assert [kept.line for kept in Reading(path).results()] == [encode_row(result) for result in results]


def test_the_identities_are_those_of_the_items(path):
    with started_writer(path, "a") as writer:
        register(writer, "b", identity={"m": 2})
        writer.items.strategy_number({"m": 3})
    assert Reading(path).identities() == [IDENTITY, {"m": 2}]


def test_a_missing_file_is_not_created(path, tmp_path):
    with pytest.raises(JournalError, match=r"run\.db: there is no such file"):
        JournalReader(path)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_reader_raises(path):
    JournalWriter(path).close()
    reader = JournalReader(path)
    reader.close()
    with pytest.raises(JournalError, match="closed database"):
        reader.counts()
