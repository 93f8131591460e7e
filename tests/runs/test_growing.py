"""A run grows: a sample into the whole, an input by new lines; only changed prompts, models and settings must be allowed."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline import runs
from paceline.exceptions import JournalChangedError
from paceline.runs import RunOptions

from ..cli.conftest import FAST
from ..search import examples

pytestmark = pytest.mark.usefixtures("virtual_time")

_NUMBERS = count()
EXACT = f"{FAST},output=3"


@pytest.fixture
def options(jsonl, tmp_path):
    """Make options of a run of 60 prompts, each with other text."""
    source = jsonl(60)

    def make(**changes):
        return RunOptions(**{"input": source, "model": EXACT, "output": tmp_path / "out.jsonl"} | changes)

    return make


def rows_of(path):
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def ids_in(report):
    return [row["id"] for row in rows_of(report.output)]


@pytest.mark.parametrize("selection", [{"sample": 20}, {"limit": 20}])
def test_the_same_run_without_its_selection_keeps_the_results_and_pays_for_the_rest(options, selection):
    first = runs.run(options(**selection))
    assert (first.batch.total_items, first.is_complete) == (20, True)
    paid = rows_of(first.output)
    planned = runs.plan(options())
    assert (planned.is_refused, planned.wanted, planned.journal_state.new) == (False, 40, 40)
    messages = []
    whole = runs.run(options(), on_message=messages.append)
    assert messages == ["40 items are added to the 20 of the journal"]
    assert (whole.batch.total_items, whole.is_complete) == (40, True)
    assert rows_of(whole.output)[:20] == paid
    assert sorted(ids_in(whole)) == sorted(f"q{i}" for i in range(60))


def test_a_sample_grows_into_a_larger_one(options):
    for sample, paid in (1, 1), (20, 19), (50, 30), (60, 10), (None, 0):
        report = runs.run(options(sample=sample))
        assert (report.batch.total_items, report.is_complete) == (paid, True)
    assert len(set(ids_in(report))) == 60


@settings(max_examples=examples(5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4).map(sorted))
def test_every_growing_series_of_samples_pays_for_each_prompt_once(options, tmp_path, sizes):
    out = tmp_path / f"{next(_NUMBERS)}.jsonl"
    reports = [runs.run(options(sample=size, output=out)) for size in sizes]
    assert sum(report.batch.total_items for report in reports) == len(ids_in(reports[-1])) == sizes[-1]


def test_a_smaller_selection_must_be_allowed_and_what_it_left_out_comes_back(options):
    runs.run(options(sample=50))
    with pytest.raises(JournalChangedError) as refused:
        runs.run(options(sample=20))
    assert refused.value.changes == ("--sample was 50, is 20", "30 items of the journal are no longer in the input")
    assert runs.plan(options(sample=20)).journal_state.changes == refused.value.changes
    small = runs.run(options(sample=20, allow_changes=True))
    assert (small.batch.total_items, len(ids_in(small))) == (0, 20)
    whole = runs.run(options())
    assert whole.batch.total_items == 10
    assert sorted(ids_in(whole)) == sorted(f"q{i}" for i in range(60))


def test_lines_that_are_added_to_an_input_are_run_and_what_was_gone_before_is_not_refused_again(options):
    path = Path(options().input)
    runs.run(options())
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[1:]), "utf-8")
    with pytest.raises(JournalChangedError, match="1 item of the journal is no longer in the input"):
        runs.run(options())
    assert runs.run(options(allow_changes=True)).batch.total_items == 0
    path.write_text(path.read_text("utf-8") + '{"id": "new", "prompt": "one more"}\n', "utf-8")
    assert not runs.plan(options()).is_refused
    report = runs.run(options())
    assert (report.batch.total_items, len(ids_in(report))) == (1, 60)


def test_changed_prompts_are_counted_and_the_first_is_named(options):
    runs.run(options(sample=20))
    path = Path(options().input)
    path.write_text(
        "".join(json.dumps(row | {"prompt": "other " + row["id"]}) + "\n" for row in rows_of(path)), "utf-8"
    )
    with pytest.raises(JournalChangedError) as refused:
        runs.run(options())
    first = min(int(name[1:]) for name in ids_in(runs.run(options(output=f"{path}.2", sample=20))))
    assert refused.value.changes == (f"the prompts of 20 items have changed, the first is that of 'q{first}'",)


def test_a_changed_template_is_named_with_its_old_and_new_text(tmp_path):
    table = tmp_path / "in.csv"
    table.write_text("text\na\nb\nc\n")
    before = RunOptions(input=table, model=EXACT, prompt="Sum up {text}")
    runs.run(before)
    with pytest.raises(JournalChangedError) as refused:
        runs.run(attrs.evolve(before, prompt="Classify {text}"))
    assert refused.value.changes == (
        "--prompt was 'Sum up {text}', is 'Classify {text}'",
        "the prompts of 3 items have changed, the first is that of '1'",
    )


def test_another_model_is_refused_with_both_names_and_growing_does_not_excuse_it(options):
    runs.run(options(sample=20))
    with pytest.raises(JournalChangedError) as refused:
        runs.run(options(model=FAST))
    assert refused.value.changes == (f"service was {EXACT}, is {FAST}",)


def test_changes_of_prompt_and_settings_are_one_sentence_with_what_is_paid_for_again(tmp_path):
    table = tmp_path / "in.csv"
    table.write_text("text\na\nb\nc\n")
    before = RunOptions(input=table, model=EXACT, prompt="Sum up {text}", temperature=0.5)
    runs.run(before)
    after = attrs.evolve(before, prompt="Classify {text}", model=FAST, temperature=0.7)
    parts = (
        "--prompt was 'Sum up {text}', is 'Classify {text}'",
        f"service was {EXACT}, is {FAST}",
        "temperature was 0.5, is 0.7",
        "the prompts of 3 items have changed, the first is that of '1'",
    )
    paid = (
        "3 changed prompts are called and paid for again; "
        "other answers that are there stay, and only what has none is called with the new settings"
    )
    with pytest.raises(JournalChangedError) as refused:
        runs.run(after)
    assert refused.value.changes == parts
    assert str(refused.value).endswith(
        f"; say --allow-changes to accept this: {paid}; or start again with another --journal"
    )
    assert "\n" not in str(refused.value)
    messages = []
    report = runs.run(attrs.evolve(after, allow_changes=True), on_message=messages.append)
    assert (messages, report.batch.total_items) == (["; ".join([*parts, paid])], 3)
