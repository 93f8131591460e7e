"""Reading prompts from files: each format, bad lines, limits and samples, and records as the prompts of a batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from paceline import Request, files, open_stream, process_prompts
from paceline.exceptions import ConfigurationError, InvalidWorkItemError, SourceError
from paceline.files import BadLine, InputError, InputKind, InputRecord
from paceline.testing import Service, SimulatedProvider, SimulatedStrategy

from .test_batch_lines import ANTHROPIC, GEMINI, OPENAI

BODIES = {"openai": OPENAI["body"], "gemini": GEMINI["request"], "anthropic": ANTHROPIC["params"]}
GOOD, BAD = b'{"id": "%b", "prompt": "p"}\n', b"broken\n"


def strategy():
    return SimulatedStrategy(SimulatedProvider(Service(latency=0.01)))


def three_lines(file):
    return file(GOOD % b"a" + BAD + GOOD % b"b" + GOOD % b"a")


def test_csv_rows_become_prompts_by_a_template(file):
    path = file(b'id,text\na,"one\ntwo"\nb,three\n', "reviews.csv")
    records = list(files.read(path, prompt="Classify: {text}"))
    assert records == [
        InputRecord(1, "a", "Classify: one\ntwo", {"id": "a", "text": "one\ntwo"}),
        InputRecord(2, "b", "Classify: three", {"id": "b", "text": "three"}),
    ]
    assert [record.line for record in records] == [2, 4]


def test_parquet_rows_become_prompts_by_a_template(tmp_path):
    path = tmp_path / "in.parquet"
    parquet.write_table(pa.table({"text": ["x"], "n": [7]}), path)
    (record,) = files.read(path, prompt="{text} {n}")
    assert (record.id, record.prompt, record.context, record.line) == ("1", "x 7", {"text": "x", "n": 7}, None)


def test_lines_of_jsonl_and_text_are_prompts(file):
    (record,) = files.read(file(b'{"id": "a", "prompt": "p", "context": [1]}\n'))
    assert (record.id, record.prompt, record.context, record.line) == ("a", "p", [1], 1)
    assert [record.prompt for record in files.read(file(b"one\n\ntwo\n", "in.txt"))] == ["one", "two"]
    assert [record.line for record in files.read(file(b"one\n\ntwo\n", "in.txt"))] == [1, 3]


@pytest.mark.parametrize("line", [OPENAI, GEMINI, ANTHROPIC], ids=list(BODIES))
def test_batch_lines_are_requests(file, line, request):
    dialect = request.node.callspec.id
    (record,) = files.read(file(json.dumps(line).encode()))
    assert record.prompt == Request(dialect, BODIES[dialect])


def test_records_can_be_read_any_number_of_times(file):
    records = files.read(file(GOOD % b"a" + GOOD % b"b"))
    assert list(records) == list(records)
    assert [(one.id, other.id) for one in records for other in records][1] == ("a", "b")


def test_the_format_can_be_given_as_a_string_or_as_a_kind(file):
    path = file(GOOD % b"a", "in.txt")
    assert [next(iter(files.read(path, format=given))).id for given in ("jsonl", InputKind.JSONL, None)] == [
        "a",
        "a",
        "1",
    ]


def test_bad_lines_raise_when_the_iteration_begins(file):
    path = three_lines(file)
    with pytest.raises(InputError) as caught:
        iter(files.read(path))
    assert str(caught.value).splitlines() == [
        f"{path}:2: not JSON: Expecting value at column 1",
        f"{path}:4: id 'a' is on line 1 already",
    ]


def test_bad_lines_can_be_skipped(file):
    assert [record.id for record in files.read(three_lines(file), bad_lines="skip")] == ["a", "b"]


def test_bad_lines_can_be_yielded_in_their_places(file):
    path = three_lines(file)
    first, bad, second, repeated = files.read(path, bad_lines="yield")
    assert (first.id, second.id) == ("a", "b")
    assert bad == BadLine(path, 2, "not JSON: Expecting value at column 1")
    assert str(repeated) == f"{path}:4: id 'a' is on line 1 already"


def test_a_file_of_bad_lines_only_is_yielded_and_otherwise_refused(file):
    path = file(BAD)
    assert [str(bad) for bad in files.read(path, bad_lines="yield")] == [
        f"{path}:1: not JSON: Expecting value at column 1"
    ]
    with pytest.raises(InputError, match=":1: not JSON"):
        iter(files.read(path, bad_lines="skip"))


def test_a_limit_keeps_the_first_prompts_and_the_rest_is_not_read(file):
    path = file(b"".join(GOOD % b"%d" % i for i in range(5)) + BAD)
    for bad_lines in ("raise", "skip", "yield"):
        assert [record.id for record in files.read(path, limit=2, bad_lines=bad_lines)] == ["0", "1"]


def test_a_sample_is_drawn_from_what_the_limit_leaves_and_stays_the_same(file):
    records = files.read(file(b"".join(GOOD % b"%d" % i for i in range(50))), limit=20, sample=5)
    ids = [int(record.id) for record in records]
    assert len(ids) == 5
    assert ids == sorted(ids)
    assert max(ids) < 20
    assert ids == [int(record.id) for record in records]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit must be a whole number, 1 or more, not 0"),
        ({"sample": 1.5}, "sample must be a whole number, 1 or more, not 1.5"),
        (
            {"format": "xlsx"},
            "format must be one of jsonl, text, openai, gemini, anthropic, csv, parquet, json, not 'xlsx'",
        ),
        ({"bad_lines": "ignore"}, "bad_lines must be one of raise, skip, yield, not 'ignore'"),
        ({"prompt": 7}, "prompt must be a string or None, not 7"),
        ({"path": None}, "path must be a non-empty string or a path, not None"),
        ({"sample": 1, "bad_lines": "yield"}, "sample must be None with bad_lines='yield'"),
    ],
)
def test_a_wrong_option_is_refused_with_its_bound(options, message):
    with pytest.raises(ConfigurationError) as caught:
        files.read(**{"path": "in.jsonl"} | options)
    assert str(caught.value).startswith(message)


def test_a_file_that_does_not_exist_is_reported_when_the_iteration_begins(tmp_path):
    records = files.read(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"none\.csv: cannot be read: No such file or directory"):
        iter(records)


def test_a_pipe_is_read_as_it_is_written_where_bad_lines_are_yielded():
    reading, writing = os.pipe()
    os.write(writing, GOOD % b"a" + BAD)
    try:
        os.set_blocking(reading, False)  # reading ahead of what was written would raise
        records = iter(files.read(f"/dev/fd/{reading}", bad_lines="yield"))
        assert [type(record) for record in islice(records, 2)] == [InputRecord, BadLine]
        del records
    finally:
        os.close(reading)
        os.close(writing)


def test_reading_prints_nothing_and_imports_nothing_heavy(file):
    code = (
        "import sys; from paceline import files\n"
        "assert not {'pyarrow', 'sqlite3'} & sys.modules.keys()\n"
        "list(files.read(sys.argv[1], bad_lines='skip'))"
    )
    done = subprocess.run([sys.executable, "-c", code, three_lines(file)], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


lines = st.lists(
    st.sampled_from([GOOD % b"a", GOOD % b"b", GOOD % b"c", BAD, b"\n", b"\xff\n"]),
    max_size=12,
    unique_by=lambda line: line if line.startswith(GOOD[:5]) else object(),
)


@given(lines, st.none() | st.integers(1, 4))
def test_what_is_yielded_is_what_is_skipped_and_what_is_raised(tmp_path_factory, content, limit):
    path = tmp_path_factory.mktemp("in") / "in.jsonl"
    path.write_bytes(b"".join(content))
    found = list(files.read(path, limit=limit, bad_lines="yield", encoding="utf-8"))
    good = [record for record in found if isinstance(record, InputRecord)]
    bad = [record for record in found if isinstance(record, BadLine)]
    assert [record.position for record in found] == sorted({record.position for record in found})
    if good:
        assert list(files.read(path, limit=limit, bad_lines="skip", encoding="utf-8")) == good
    if bad or not good:
        with pytest.raises(InputError) as caught:
            iter(files.read(path, limit=limit, encoding="utf-8"))
        assert str(caught.value).splitlines()[:10] == (list(map(str, bad)) or [f"{path}: has no prompts"])[:10]


@pytest.mark.anyio
async def test_records_are_prompts_of_a_batch_and_keep_their_ids_and_contexts(file):
    path = file(b"id,text\na,x\nb,y\n", "in.csv")
    batch = await process_prompts(strategy(), files.read(path, prompt="Say {text}"))
    assert [(result.item_id, result.output, result.context) for result in batch.in_input_order()] == [
        ("a", "simulated: Say x", {"id": "a", "text": "x"}),
        ("b", "simulated: Say y", {"id": "b", "text": "y"}),
    ]
    async with open_stream(strategy(), files.read(path, prompt="{text}")) as results:
        assert {result.item_id async for result in results} == {"a", "b"}


@pytest.mark.anyio
async def test_a_list_and_an_async_source_of_records_are_prompts_too(file):
    records = list(files.read(file(GOOD % b"a" + GOOD % b"b")))

    async def source():
        for record in records:
            yield record

    for prompts in (records, source()):
        batch = await process_prompts(strategy(), prompts)
        assert {result.item_id for result in batch.results} == {"a", "b"}


@pytest.mark.anyio
async def test_a_file_with_bad_lines_is_refused_before_the_first_call(file):
    answering = strategy()
    with pytest.raises(InputError, match=":2: not JSON"):
        await process_prompts(answering, files.read(three_lines(file)))
    assert answering.provider.statistics().calls == 0


@pytest.mark.anyio
async def test_a_bad_line_that_reaches_a_batch_is_an_error_and_never_skipped(file):
    path = three_lines(file)
    with pytest.raises(SourceError, match=":2: not JSON") as caught:
        await process_prompts(strategy(), files.read(path, bad_lines="yield"))
    assert [result.item_id for result in caught.value.batch.results] == ["a"]
    with pytest.raises(InvalidWorkItemError, match=":2: not JSON"):
        await process_prompts(strategy(), list(files.read(path, bad_lines="yield")))


@pytest.mark.anyio
async def test_repeated_ids_of_two_files_and_a_mix_with_strings_are_refused(file):
    records = list(files.read(file(GOOD % b"0")))
    with pytest.raises(SourceError, match="'0'"):
        await process_prompts(strategy(), iter([*records, *records]))
    with pytest.raises(SourceError, match="not both"):
        await process_prompts(strategy(), iter([*records, "text"]))


def test_a_changed_file_is_reported_while_it_is_read(file):
    path = file(GOOD % b"a" + GOOD % b"b")
    records = iter(files.read(path))
    Path(path).write_bytes(BAD)
    with pytest.raises(InputError, match="has changed since it was checked"):
        list(records)
