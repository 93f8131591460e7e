"""Messages: logs during a run, and the advice after it."""

from __future__ import annotations

import logging

import attrs
import pytest

from paceline import BatchResult, Fault, FaultKind, WorkItemResult
from paceline.cli.logs import show_logs
from paceline.cli.report_text import hints
from paceline.llm_strategies import QuotaHint

log = logging.getLogger("paceline")


def batch_of(*kinds):
    return BatchResult(results=tuple(WorkItemResult(kind, 0, error=Fault(kind)) for kind in kinds))


@pytest.mark.parametrize("kind", FaultKind)
def test_there_is_a_hint_for_every_kind_of_fault(kind):
    (advice,) = hints(batch_of(kind), "out file.jsonl")
    assert advice.endswith("jq -r 'select(.success|not).id' 'out file.jsonl'")
    assert "jq" not in hints(batch_of(kind), None)[0]


def test_a_hint_is_given_for_the_cause_not_for_what_followed_from_it():
    both = hints(batch_of(FaultKind.PENDING, FaultKind.PENDING, FaultKind.DENIED), None)
    assert both == hints(batch_of(FaultKind.DENIED), None)


def test_the_advice_has_the_time_when_a_quota_reopens_if_it_is_known():
    spent = Fault(FaultKind.PENDING, "spent", None, QuotaHint(reopens_in=5 * 3600 + 12 * 60))
    batch = attrs.evolve(batch_of(FaultKind.EXHAUSTED), stopped=spent)
    assert hints(batch, None) == ["a quota is exhausted: run the rest in 5 h 12 min, or raise the quota"]
    unknown = attrs.evolve(batch, stopped=Fault(FaultKind.PENDING, "spent"))
    assert hints(unknown, None) == hints(batch_of(FaultKind.EXHAUSTED), None)


def test_without_a_failure_there_is_no_hints():
    assert hints(BatchResult(), None) == []


def test_a_warning_is_shown_once_and_without_its_traceback():
    shown = []
    with show_logs(shown.append, verbose=False):
        for _ in range(3):
            log.error("%s raised", "Strategy", exc_info=ValueError("details"))
        log.info("nothing of interest")
    assert shown == ["error: Strategy raised"]


def test_after_twenty_different_warnings_one_message_says_there_are_more():
    shown = []
    with show_logs(shown.append, verbose=False):
        for number in range(100):
            log.warning("warning %d", number)
    assert len(shown) == 21
    assert shown[-1] == "there are more warnings; --verbose shows all of them"


def test_verbose_shows_all_with_tracebacks():
    shown = []
    with show_logs(shown.append, verbose=True):
        for _ in range(2):
            log.error("%s raised", "Strategy", exc_info=ValueError("details"))
        log.debug("of interest")
        logging.getLogger("other").info("not ours")
    assert len(shown) == 3
    assert "ValueError: details" in shown[0]


@pytest.mark.parametrize("verbose", [True, False])
def test_credentials_are_redacted(verbose):
    shown = []
    with show_logs(shown.append, verbose=verbose):
        log.warning("used %s", "AIza" + "x" * 35)
        logging.getLogger("other").warning("Authorization: Bearer %s", "y" * 30)
    assert [message.count("[redacted]") for message in shown] == [1, 1]


def test_a_record_that_cannot_be_formatted_is_named():
    shown = []
    with show_logs(shown.append, verbose=False):
        record = log.makeRecord("paceline", logging.WARNING, "", 0, "%d", ("a prompt",), None)
        logging.getLogger().handlers[-1].handle(record)
    assert shown == ["a message of paceline cannot be shown"]


def test_logging_is_restored():
    before = log.level, list(logging.getLogger().handlers)
    with show_logs(print, verbose=True):
        pass
    assert (log.level, list(logging.getLogger().handlers)) == before


@pytest.mark.parametrize(
    ("arguments", "verb"),
    [
        (["run", "in.txt"], "run"),
        (["run", "in.txt", "-m", "sim", "--limit", "0"], "run"),
        (["run", "in.txt", "-m", "sim", "--escalate", "sim,sim"], "run"),
        (["run", "in.txt", "-m", "sim", "--bogus"], "run"),
        (["resume", "out.jsonl", "--timeout", "0"], "resume"),
        (["results", "out.jsonl"], "results"),
    ],
)
def test_a_wrong_command_line_names_the_help_of_its_command(paceline, tmp_path, monkeypatch, arguments, verb):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_text("Who?\n")
    run = paceline(*arguments)
    assert run.code == 2
    assert run.err.rstrip().endswith(f"; see paceline {verb} --help")
    assert run.err.count("--help") == 1
