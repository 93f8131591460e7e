"""Ids, numbers and repeated columns of tables and JSON objects."""

from __future__ import annotations

import decimal
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from paceline.files import open_input, reopen_input

from .conftest import complaint, opened, prompts


def ids(path, **options):
    return [found.id for found in prompts(path, template="{text}", **options)]


@pytest.mark.parametrize("name", ["id", "ID", "Id", " id "])
def test_the_column_of_ids_is_named_id_in_any_case(file, name):
    assert ids(file(f"{name},text\nq7,x\n".encode(), "in.csv")) == ["q7"]
    assert ids(file(json.dumps({name: "q7", "text": "x"}).encode() + b"\n")) == ["q7"]


def test_id_wins_over_its_other_spellings(file):
    assert ids(file(b"ID,text,id\nx,t,y\n", "in.csv")) == ["y"]


@pytest.mark.parametrize(("given", "found"), [("key", ["k"]), ("", ["1"]), ("id", ["a"])])
def test_the_caller_may_name_the_column_or_number_the_rows(file, given, found):
    assert ids(file(b"id,key,text\na,k,x\n", "in.csv"), id_column=given) == found
    assert ids(file(b'{"id": "a", "key": "k", "text": "x"}\n'), id_column=given) == found
    assert opened(file(b"id,key,text\na,k,x\n", "in.csv"), template="{text}", id_column=given).notes == ()


def test_a_column_of_ids_that_is_missing_is_refused(file):
    path = file(b"id,text\na,x\n", "in.csv")
    assert complaint(path, template="{text}", id_column="kee") == (
        f"{path}: has no column 'kee', which --id-column names; columns are 'id', 'text'"
    )
    assert "has no field 'kee', which --id-column names" in complaint(
        file(b'{"text": "x"}\n'), template="{text}", id_column="kee"
    )


def test_numbers_are_ids(file, tmp_path):
    assert ids(file(b'{"id": 7, "text": "x"}\n{"id": 2.5, "text": "y"}\n')) == ["7", "2.5"]
    path = tmp_path / "in.parquet"
    for values in ([7, 8], [7.0, 8.5], [decimal.Decimal("7.10"), decimal.Decimal("8.00")]):
        parquet.write_table(pa.table({"id": values, "text": ["x", "y"]}), path)
        assert ids(str(path)) == [str(value) for value in values]


def test_records_without_an_id_are_numbered_and_that_is_said_once(file):
    path = file(b'{"text": "x"}\n\n{"id": "a", "text": "y"}\n{"text": "z"}\n')
    assert ids(path) == ["1", "a", "4"]
    assert opened(path, template="{text}").notes == (
        f"{path}: 2 lines have no id, and are identified by their numbers, from 1; --id-column names another field",
    )


def test_a_number_that_is_an_id_already_is_a_repeated_id(file):
    path = file(b'{"text": "x"}\n{"id": 1, "text": "y"}\n')
    assert opened(path, template="{text}").complaints() == [f"{path}:2: id '1' is on line 1 already"]


def test_a_column_that_may_be_meant_as_ids_is_named(file):
    path = file(b"review_id,text\nr7,x\n", "in.csv")
    assert opened(path, template="{text}").notes == (
        (
            f"{path}: has no column id, and rows are identified by their numbers; "
            "--id-column review_id takes the ids from that column"
        ),
    )


def test_a_few_repeated_ids_are_invalid_and_what_to_do_is_said_once(file):
    rows = b"".join(b"%d,x\n" % number for number in range(18))
    path = file(b"id,text\n" + rows + b"0,y\n1,z\n", "in.csv")
    checked = opened(path, template="{text}")
    assert checked.complaints() == [f"{path}:{n + 20}: id '{n}' is in row {n + 1} already" for n in (0, 1)]
    assert checked.notes == (
        f"{path}: 2 rows repeat an id; --id-column names another field, and --id-column '' numbers them",
    )


@pytest.mark.parametrize("strict", [False, True])
def test_a_column_whose_values_repeat_is_refused_as_ids(file, strict):
    content = b"ID,date,text\n" + b"".join(b"%d,2026-0%d,x\n" % (n, n % 9) for n in range(1_000))
    path = file(content, "in.csv")
    assert complaint(path, template="{text}", id_column="date", strict=strict) == (
        f"{path}: 991 of 1,000 rows repeat an id in 'date' that an earlier row has, and would not be run; "
        "--id-column names another field, and --id-column '' numbers them"
    )
    assert len(prompts(path, template="{text}")) == len(prompts(path, template="{text}", id_column="")) == 1_000


def test_a_column_that_is_chosen_as_ids_is_refused_alike(file):
    for content, name in (
        (b"Id,text\na,x\na,y\na,z\n", "in.csv"),
        (b'{"id": 1, "text": "x"}\n' * 3, "in.jsonl"),
        (b'[{"id": 1, "text": "x"}, {"id": 1, "text": "y"}, {"id": 1, "text": "z"}]', "in.json"),
    ):
        assert " 2 of 3 " in complaint(file(content, name), template="{text}")


def test_one_repeated_id_of_a_short_input_is_only_an_invalid_row(file):
    assert opened(file(b"id,text\na,x\na,y\n", "in.csv"), template="{text}").bad_count == 1


def test_columns_of_the_same_name_are_numbered_and_spaces_around_names_do_not_count(file):
    path = file(b"id, text ,x,x,,x\n1,t,a,b,,c\n", "in.csv")
    (found,) = prompts(path, template="{text}")
    assert found.context == {"id": "1", "text": "t", "x": "a", "x.1": "b", "": "", "x.2": "c"}
    assert opened(path, template="{text}").notes == (
        f"{path}: has several columns 'x'; the later ones are numbered, such as 'x.1'",
    )


@pytest.mark.parametrize("header", [b"id,text,text", b"text,id,id"])
def test_a_column_that_is_used_must_be_unique(file, header):
    assert "rename all but one" in complaint(file(header + b"\n1,2,3\n", "in.csv"), template="{text}")


def test_an_input_of_an_older_journal_is_read_as_it_was_then(file):
    path = file(b"ID,text\nq7,x\n", "in.csv")
    with open_input(path, template="{text}") as checked:
        kind, size, digest = checked.kind, checked.size, checked.digest
    for exact, name in ((False, "q7"), (True, "1")):
        with reopen_input(path, kind=kind, template="{text}", exact_id=exact, size=size, digest=digest) as again:
            assert [found.id for found in again.prompts(lambda _: True)] == [name]
