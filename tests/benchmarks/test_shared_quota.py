"""The benchmark of one quota and many processes counts what is served, refused and shared."""

import attrs
from benchmarks.shared_quota import minutes, trial


def test_one_process_alone_has_all_of_the_quota_from_the_second_minute_on() -> None:
    second, last = minutes(attrs.evolve(trial(1, 1), seconds=180.0))
    for minute in (second, last):
        assert 0.95 < minute.goodput < 1.05
        assert 0 < minute.refusals < 0.02
        assert minute.jain == 1.0


def test_two_processes_both_have_a_share_and_use_all_of_the_quota_together() -> None:
    _, last = minutes(attrs.evolve(trial(2, 1), seconds=240.0))
    assert last.jain > 0.75  # 3:1 has 0.8, and one alone 0.5
    assert 0.95 < last.goodput < 1.05
