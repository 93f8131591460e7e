"""The benchmark of one quota and many processes counts what is served, refused and shared."""

import attrs
from benchmarks.shared_quota import minutes, trial


def test_one_process_alone_has_all_of_the_quota_from_the_second_minute_on() -> None:
    second, last = minutes(attrs.evolve(trial(1, 1), seconds=180.0))
    for minute in (second, last):
        assert 0.95 < minute.goodput < 1.05
        assert 0 < minute.refusals < 0.02
        assert minute.jain == 1.0


def test_two_processes_come_to_equal_shares_without_knowing_of_each_other() -> None:
    _, last = minutes(attrs.evolve(trial(2, 1), seconds=240.0))
    assert last.jain > 0.95
    assert 0.95 < last.goodput < 1.05
