"""The figures of a report: percentiles, intervals of time, calls in flight, and what the top alone would have cost."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.journal.aggregates import JournalAggregates
from paceline.report import RunSpan
from paceline.report.collect import Timeline, complete_spans, interval, top_alone
from paceline.report.latencies import Latencies

from .journals import BEGAN, Call, Result, make_journal

SECONDS = st.floats(0.002, 600.0)


@given(st.lists(SECONDS, min_size=1, max_size=200))
def test_percentiles_are_accurate_to_one_percent(seconds):
    found = Latencies()
    for each in seconds:
        found.add(each)
    latency = found.latency()
    ordered = sorted(seconds)
    for share, value in ((0.5, latency.p50), (0.9, latency.p90), (0.99, latency.p99)):
        exact = ordered[math.ceil(share * len(ordered)) - 1]
        assert value == pytest.approx(exact, rel=0.01)
    assert latency.most == max(seconds)


@given(st.lists(st.floats(-5.0, 1e9), min_size=1, max_size=200))
def test_the_bars_hold_every_call_once_and_touch_each_other(seconds):
    found = Latencies()
    for each in seconds:
        found.add(each)
    latency = found.latency()
    assert sum(calls for _, _, calls in latency.bars) == latency.calls == len(seconds)
    assert len(latency.bars) <= 33
    for (_, end, _), (start, _, _) in pairwise(latency.bars):
        assert end == pytest.approx(start)


def test_no_call_has_no_latency():
    assert Latencies().latency() is None


@given(st.lists(SECONDS, max_size=50), st.lists(SECONDS, min_size=1, max_size=50))
def test_a_merged_distribution_is_that_of_all_calls(some, others):
    one, other, both = Latencies(), Latencies(), Latencies()
    for seconds in some:
        one.add(seconds)
        both.add(seconds)
    for seconds in others:
        other.add(seconds)
        both.add(seconds)
    one.merge(other)
    assert one.latency() == both.latency()


@given(st.floats(0.001, 1e9), st.integers(1, 300))
def test_a_time_is_cut_into_no_more_intervals_than_asked_for(seconds, parts):
    assert seconds / interval(seconds, parts) <= parts * (1 + 1e-9)


CALLS = st.lists(st.tuples(st.floats(0.0, 9.9), st.floats(0.0, 5.0)), min_size=1, max_size=30)


class Stored:
    """Calls as `JournalAggregates` yields them, without a file."""

    def __init__(self, calls):
        self.calls = calls

    def starts(self, width, last, quotas):
        for start, _ in self.calls:
            yield 1, quotas[0], max(0, min(last, int(start / width))), 1, start

    def ends(self, width, last, quotas):
        for start, seconds in self.calls:
            end = start + seconds
            yield 1, quotas[0], max(0, min(last, int(end / width))), 1, end, 1, 5, 0.0

    def refusals(self, _width, _last):
        return iter(())


def span(seconds, run=1):
    return RunSpan(run=run, version="0", started=None, state="ended", seconds=seconds)


@given(CALLS)
def test_the_calls_in_flight_of_an_interval_are_exact_on_average(calls):
    end = max(start + seconds for start, seconds in calls) + 0.01
    timeline = Timeline(Stored(calls), [span(end)], ["lane"])
    for moment in timeline.moments():
        until = moment.at + moment.seconds
        busy = math.fsum(max(0.0, min(start + seconds, until) - max(start, moment.at)) for start, seconds in calls)
        assert moment.in_flight == pytest.approx(busy / moment.seconds, abs=1e-6)


@given(CALLS, st.lists(st.floats(0.5, 500.0), min_size=1, max_size=5))
def test_no_call_is_lost_or_counted_twice_over_time(calls, lengths):
    timeline = Timeline(Stored(calls), [span(length, run) for run, length in enumerate(lengths, 1)], ["lane"])
    moments = timeline.moments()
    assert sum(moment.started for moment in moments) == len(calls)
    assert sum(moment.accepted for moment in moments) == len(calls)
    assert sum(moment.seconds for moment in moments) == pytest.approx(sum(lengths), rel=1e-6)
    assert len(moments) <= 200 + len(lengths)


def test_a_killed_run_lasts_until_the_last_thing_that_it_recorded(tmp_path):
    journal = make_journal(
        tmp_path / "x.journal",
        items=["a", "b"],
        runs=[(BEGAN, None)],
        calls=[Call(item=1, started=3.0, seconds=4.0)],
        results=[Result(item=1, settled=BEGAN + 9.0)],
    )
    started = datetime.fromtimestamp(BEGAN, UTC)
    killed = RunSpan(run=1, version="0", started=started, state="killed", seconds=0.0)
    with JournalAggregates(journal) as reader:
        (found,) = complete_spans(reader, [killed])
    assert found.seconds == pytest.approx(9.0)
    assert (found.calls, found.accepted) == (1, 1)


def ladder_of(tmp_path, top_calls):
    calls = [Call(item=n, model="lite", tokens=(100 * n, 10), cost=1e-4) for n in range(1, 6)]
    return make_journal(tmp_path / "x.journal", items=map(str, range(20)), calls=[*calls, *top_calls])


def test_the_top_alone_costs_its_own_prices_for_all_accepted_answers(tmp_path):
    top = [
        Call(
            item=10 + n,
            model="top",
            tokens=(100 + 50 * n, 40 - 7 * n),
            cost=(100 + 50 * n) * 2e-6 + (40 - 7 * n) * 8e-6,
        )
        for n in range(4)
    ]
    with JournalAggregates(ladder_of(tmp_path, top)) as reader:
        found = top_alone(reader, reader.model_totals(10)[0], ["lite", "top"])
    sent, generated = 1500 + sum(call.tokens[0] for call in top), 50 + sum(call.tokens[1] for call in top)
    assert found.cost == pytest.approx(sent * 2e-6 + generated * 8e-6)
    assert found.is_exact


def test_where_its_prices_cannot_be_separated_the_mean_price_of_its_tokens_is_used(tmp_path):
    top = [Call(item=10 + n, model="top", tokens=(100, 50), cost=0.3) for n in range(3)]
    with JournalAggregates(ladder_of(tmp_path, top)) as reader:
        found = top_alone(reader, reader.model_totals(10)[0], ["lite", "top"])
    assert found.cost == pytest.approx(0.3 / 150 * (1500 + 50 + 450))
    assert not found.is_exact


@pytest.mark.parametrize("top", [[], [Call(item=10, model="top", cost=None)]], ids=["not called", "no price"])
def test_without_a_known_price_of_the_top_there_is_no_estimate(tmp_path, top):
    with JournalAggregates(ladder_of(tmp_path, top)) as reader:
        assert top_alone(reader, reader.model_totals(10)[0], ["lite", "top"]) is None
