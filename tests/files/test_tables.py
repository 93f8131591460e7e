"""Tables of results: CSV and Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from paceline import Fault, FaultKind, TokenUsage, WorkItemResult
from paceline._codec import result_row
from paceline.files.tables import RESULT_COLUMNS, csv_chunks, write_parquet

GOOD = result_row(WorkItemResult("a", 0, 'one\n"two", three', context=[1], usage=TokenUsage(5, 2, 1), model="m"))
BAD = result_row(WorkItemResult("c", 2, error=Fault(FaultKind.REFUSED, "no")))
WITHOUT_CONTEXT = [name for name in RESULT_COLUMNS if name != "context"]


def row(name="a", output=None, context=None):
    return result_row(WorkItemResult(name, 0, output, context=context))


def read_csv(rows, **options):
    text = b"".join(csv_chunks(rows, **options)).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def read_parquet(rows, **options):
    file = io.BytesIO()
    written = write_parquet(rows, file, **options)
    assert not file.closed
    table = parquet.read_table(io.BytesIO(file.getvalue())).to_pylist()
    assert len(table) == written
    return table


def both(rows, **options):
    return read_csv(rows, **options), read_parquet(rows, **options)


def test_csv_has_one_row_per_result_after_the_header():
    good, bad = read_csv([GOOD, BAD])
    assert tuple(good) == RESULT_COLUMNS
    assert good == {
        "id": "a",
        "output": 'one\n"two", three',
        "success": "true",
        "error_kind": "",
        "error_message": "",
        "context": "[1]",
        "model": "m",
        "input_tokens": "5",
        "output_tokens": "2",
        "cached_input_tokens": "1",
        "total_tokens": "7",
        "cache_written_tokens": "0",
        "cache_written_1h_tokens": "0",
        "attempts": "0",
        "seconds": "0.0",
    }
    assert (bad["success"], bad["output"], bad["error_kind"], bad["error_message"]) == ("false", "", "refused", "no")


def test_parquet_has_the_same_columns_with_their_types():
    good, bad = read_parquet([GOOD, BAD])
    assert tuple(good) == RESULT_COLUMNS
    assert (good["success"], good["output"], good["total_tokens"], good["error_kind"]) == (
        True,
        'one\n"two", three',
        7,
        None,
    )
    assert (bad["output"], bad["error_kind"], bad["seconds"]) == (None, "refused", 0.0)


def test_the_columns_of_the_input_come_back_between_the_id_and_the_output():
    rows = [row("a", "yes", {"text": "x", "n": 1}), row("b", "no", {"text": "y", "more": True})]
    for table in both(rows):
        assert list(table[0]) == ["id", "text", "n", "more", *WITHOUT_CONTEXT[1:]]
    assert read_parquet(rows)[0] | {"n": 1, "more": None, "text": "x", "output": "yes"} == read_parquet(rows)[0]
    assert [(one["n"], one["more"]) for one in read_csv(rows)] == [("1", ""), ("", "true")]


def test_the_input_s_own_id_is_left_out_only_where_it_is_the_item_s_id():
    same = [row("7", "x", {"id": 7}), row("8", "x", {"id": "8", "t": 1})]
    assert [list(table[0])[:3] for table in both(same)] == [["id", "t", "output"]] * 2
    other = [*same, row("9", "x", {"id": "z"})]
    for table in both(other):
        assert list(table[0])[:3] == ["id", "input_id", "t"]
        assert [str(one["input_id"]) for one in table] == ["7", "8", "z"]


def test_the_fields_of_outputs_that_are_objects_are_columns_beside_the_output():
    rows = [row("a", {"label": "good", "score": 1}), row("b", {"label": "bad", "score": 0.5, "why": ["x"]}), BAD]
    for table in both(rows):
        assert list(table[0])[:5] == ["id", "output", "label", "score", "why"]
    assert [one["score"] for one in read_parquet(rows)] == [1.0, 0.5, None]
    assert [one["why"] for one in read_csv(rows)] == ["", '["x"]', ""]
    assert read_csv(rows)[0]["output"] == '{"label": "good", "score": 1}'


def test_the_fields_of_a_schema_are_columns_even_if_no_output_has_them():
    for table in both([BAD], fields=["label", "score"]):
        assert list(table[0])[:4] == ["id", "output", "label", "score"]


def test_outputs_that_are_not_all_objects_and_replies_of_providers_are_not_taken_apart():
    reply = {"choices": [{"message": {}}], "usage": {}}
    for rows in ([row("a", {"x": 1}), row("b", "text")], [row("a", reply)]):
        for table in both(rows):
            assert list(table[0]) == WITHOUT_CONTEXT


def test_no_name_of_a_column_is_used_twice():
    context = {"model": "theirs", "input_model": "x", "label": "gold", "id": "other", "": "nameless"}
    rows = [row("a", {"label": "good", "model": "m", "output_label": 1, "id": 2}, context)]
    for (one,) in both(rows):
        assert one["input_model"] == "x"
        assert one["input_model_"] == "theirs"
        assert (one["label"], one["output_label_"], str(one["output_label"])) == ("gold", "good", "1")
        assert (one["id"], one["input_id"], str(one["output_id"])) == ("a", "other", "2")
        assert one["output_model"] == "m"


def test_contexts_that_are_not_all_objects_keep_a_column_of_their_own():
    for one, two in both([row("a", "x", {"n": "1"}), row("b", "y", "plain")]):
        assert (one["n"], one["context"] or None) == ("1", None)
        assert (two["n"] or None, two["context"]) == (None, "plain")


def test_objects_with_very_many_different_keys_stay_in_one_column():
    rows = [row(str(n), "x", {f"k{n}": n}) for n in range(600)]
    for table in both(rows):
        assert list(table[0]) == list(RESULT_COLUMNS)
        assert table[1]["context"] == '{"k1": 1}'


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1, None, 2], [1, None, 2]),
        ([1, 2.5], [1.0, 2.5]),
        ([True, None], [True, None]),
        ([True, 1], ["true", "1"]),
        (["x", 1, None], ["x", "1", None]),
        ([2**70], [str(2**70)]),
        ([{"a": 1}, [2]], ['{"a": 1}', "[2]"]),
        ([None], [None]),
    ],
)
def test_a_column_of_parquet_has_the_type_that_all_its_values_have(values, found):
    rows = [row(str(n), "x", {"v": value}) for n, value in enumerate(values)]
    assert [one["v"] for one in read_parquet(rows)] == found
    assert [one["v"] for one in read_parquet(iter(rows))] == found


def test_no_results_are_a_table_without_rows():
    assert read_csv([]) == read_parquet([]) == []


@pytest.mark.parametrize(
    "write", [lambda rows: sum(map(len, csv_chunks(rows))), lambda rows: write_parquet(rows, io.BytesIO())]
)
def test_few_rows_are_held_at_a_time(write):
    one = row("a", "x" * 10_000)
    write([one])
    tracemalloc.start()
    write(itertools.islice(({**one, "output": f"{i}" + one["output"][:]} for i in itertools.count()), 6_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * 2**20  # of 60


@example([("", "\r")])
@given(st.lists(st.tuples(st.text(), st.text() | st.none() | st.lists(st.integers())), max_size=5))
def test_any_texts_come_back_unchanged(pairs):
    rows = [row(f"q{name}", output) for name, output in pairs]
    texts = [output if isinstance(output, str) else None for _, output in pairs]
    for found in (
        read_csv(rows, raw=True),
        read_parquet(rows),
        read_csv(iter(rows), raw=True),
        read_parquet(iter(rows)),
    ):
        assert [one["id"] for one in found] == [one["id"] for one in rows]
        assert all(one["output"] == text for one, text in zip(found, texts, strict=True) if text is not None)


keys = st.sampled_from(["id", "output", "model", "label", "input_model", "output_label", "input_id", "context", "x"])
values = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)


@given(st.lists(st.tuples(st.dictionaries(keys, values), st.dictionaries(keys, values)), min_size=1, max_size=4))
def test_any_contexts_and_outputs_are_tables_without_a_name_twice_in_which_nothing_is_missing(pairs):
    rows = [row(str(n), output, context) for n, (context, output) in enumerate(pairs)]
    header = next(csv.reader(io.StringIO(b"".join(csv_chunks(rows)).decode(), newline="")))
    assert len(set(header)) == len(header)
    table = read_parquet(rows)
    for one, (context, output) in zip(table, pairs, strict=True):
        present = sum(value is not None for key, value in {**one}.items() if key not in RESULT_COLUMNS)
        own_ids = all(str(context["id"]) == str(n) for n, (context, _) in enumerate(pairs) if "id" in context)
        given_ = sum(value is not None for key, value in context.items() if key != "id" or not own_ids)
        assert present == given_ + sum(value is not None for value in output.values())


@pytest.mark.parametrize("name", ["ID", "Id", "id", " id "])
def test_a_column_of_ids_is_there_once_as_the_input_spells_it(name):
    for rows in both([row("a", "x", {"text": "t", name: "a"}), row("b", "x", {"text": "t", name: "b"})]):
        assert [column for column in rows[0] if column.strip().lower() == "id"] == [name]
        assert (next(iter(rows[0])), [each[name] for each in rows]) == (name, ["a", "b"])


def test_a_column_that_is_called_id_but_has_other_values_stays_beside_the_ids():
    for rows in both([row("1", "x", {"ID": "a"}), row("2", "x", {"ID": "2"})]):
        assert [(each["id"], each["ID"]) for each in rows] == [("1", "a"), ("2", "2")]


def test_an_answer_that_was_not_accepted_has_a_column_and_only_then():
    kept = result_row(WorkItemResult("c", 2, error=Fault(FaultKind.INVALID, "no", answer='{"a": ')))
    for good, bad in both([GOOD, kept]):
        assert good["error_answer"] in {"", None}
        assert bad["error_answer"] == '{"a": '
    assert "error_answer" not in read_csv([GOOD, BAD])[0]


def test_of_two_columns_with_the_ids_the_one_called_id_is_that_of_the_ids():
    for rows in both([row("a", "x", {"ID": "a", "id": "a"})]):
        assert list(rows[0])[:2] == ["id", "ID"]


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://evil.invalid")']


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_a_spreadsheet_would_evaluate_has_an_apostrophe_before_it(text):
    rows = [row("a", {text: text}, {"note": text})]
    (found,) = read_csv(rows)
    assert (found["note"], found["'" + text]) == ("'" + text, "'" + text)
    (found,) = read_csv(rows, raw=True)
    assert (found["note"], found[text]) == (text, text)


@pytest.mark.parametrize("text", ["-5", "+1.5", "-.5", "-1e-3", "plain", "", "a=b", "'=1"])
def test_numbers_and_other_texts_have_none(text):
    (found,) = read_csv([row("a", None, {"note": text, "number": -5})])
    assert (found["note"], found["number"]) == (text, "-5")
