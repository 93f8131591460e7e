"""Outputs: only saved rows count as saved, and results are never overwritten by mistake."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from threading import Thread

import pytest

from paceline.files.output import OutputError, atomic_file, check_output, open_output

ELSEWHERE = Path(__file__).stat()


def refusal(path, **options):
    with (
        pytest.raises(OutputError) as caught,
        open_output(str(path), **{"keep": {"the input": ELSEWHERE}, "overwrite": False} | options),
    ):
        pass
    return str(caught.value)


def test_rows_are_in_the_file_as_soon_as_they_are_written(tmp_path):
    path = tmp_path / "out.jsonl"
    with open_output(str(path), keep={"the input": ELSEWHERE}, overwrite=False) as output:
        output.write(b"1\n2\n")
        assert path.read_bytes() == b"1\n2\n"
        output.write(b"3\n")
        assert output.saved == 3
        output.settle()
    assert path.read_bytes() == b"1\n2\n3\n"


def test_an_output_with_content_is_replaced_only_if_the_caller_allows_it(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"paid for\n")
    assert refusal(path) == f"{path}: has content; name another file, or set --overwrite to replace it"
    assert path.read_bytes() == b"paid for\n"
    with open_output(str(path), keep={"the input": ELSEWHERE}, overwrite=True) as output:
        output.write(b"1\n")
    assert path.read_bytes() == b"1\n"


def test_an_empty_output_may_be_written_to(tmp_path):
    path = tmp_path / "out.jsonl"
    path.touch()
    with open_output(str(path), keep={"the input": ELSEWHERE}, overwrite=False) as output:
        output.write(b"1\n")
    assert path.read_bytes() == b"1\n"


def test_the_input_is_never_overwritten(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"prompts\n")
    link = tmp_path / "link.jsonl"
    link.hardlink_to(path)
    for name in (path, link):
        assert (
            refusal(name, keep={"the input": path.stat()}, overwrite=True) == f"{name}: is the input; name another file"
        )
    assert path.read_bytes() == b"prompts\n"


def test_a_path_that_cannot_be_written_to_is_refused(tmp_path):
    assert refusal(tmp_path).endswith(": cannot be written to: Is a directory")
    assert refusal(tmp_path / "none" / "out.jsonl") == f"{tmp_path}/none: no such folder; create it"
    assert refusal(Path(__file__) / "out.jsonl").endswith(": cannot be written to: Not a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_file_is_refused(tmp_path):
    path = tmp_path / "out.jsonl"
    path.touch(0o400)
    assert refusal(path).endswith(": cannot be written to: Permission denied")


def test_a_full_device_saves_nothing():
    with open_output("/dev/full", keep={"the input": ELSEWHERE}, overwrite=False) as output:
        with pytest.raises(OSError, match="No space left") as caught:
            output.write(b"1\n2\n")
        assert caught.value.errno == errno.ENOSPC
        assert output.saved == 0


def test_a_pipe_that_accepts_a_part_at_a_time_receives_all_rows(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    rows = b"".join(b"%d\n" % number for number in range(50_000))  # more than a pipe holds
    taken = []
    reader = Thread(target=lambda: taken.append(path.read_bytes()))
    reader.start()
    with open_output(str(path), keep={"the input": ELSEWHERE}, overwrite=False) as output:
        output.write(rows)
        assert output.saved == 50_000
    reader.join()
    assert taken == [rows]


def test_writing_waits_for_a_non_blocking_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    rows = b"x\n" * 100_000
    taken = []
    reader = Thread(target=lambda: taken.append(path.read_bytes()))
    reader.start()
    with open_output(str(path), keep={"the input": ELSEWHERE}, overwrite=False) as output:
        os.set_blocking(output._descriptor, False)
        output.write(rows)
    reader.join()
    assert taken == [rows]


def test_a_pipe_that_its_reader_has_closed_is_an_error(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open_output(str(path), keep={"the input": ELSEWHERE}, overwrite=False) as output:
        output.write(b"1\n")
        os.close(descriptor)
        with pytest.raises(BrokenPipeError):
            output.write(b"2\n")
        assert output.saved == 1


@pytest.mark.parametrize(
    ("content", "options", "state"),
    [
        (None, {}, "new"),
        (b"", {}, "empty"),
        (b"x\n", {"overwrite": True}, "replaced"),
        (b"x\n", {"is_resumed": True}, "continued"),
    ],
)
def test_a_check_returns_what_would_happen_and_changes_nothing(tmp_path, content, options, state):
    path = tmp_path / "out.jsonl"
    if content is not None:
        path.write_bytes(content)
    assert check_output(str(path), **{"keep": {}, "overwrite": False} | options) == state
    assert (path.read_bytes() if path.exists() else None) == content


def test_a_device_is_checked_as_a_stream():
    assert check_output("/dev/null", keep={}, overwrite=False) == "stream"


def test_all_three_ways_to_use_an_output_refuse_the_same_files(tmp_path):
    full, kept = tmp_path / "full", tmp_path / "kept"
    full.write_bytes(b"x\n")
    kept.write_bytes(b"y\n")
    for path in (full, kept, tmp_path, tmp_path / "none" / "out"):
        options = {"keep": {"the journal": str(kept)}, "overwrite": path == kept}
        messages = []
        for use in (open_output, atomic_file):
            with pytest.raises(OutputError) as caught, use(str(path), **options):
                pass
            messages.append(str(caught.value))
        with pytest.raises(OutputError) as caught:
            check_output(str(path), **options)
        assert messages == [str(caught.value)] * 2
    assert (full.read_bytes(), kept.read_bytes()) == (b"x\n", b"y\n")


def test_an_atomic_file_replaces_the_target_of_a_link_and_keeps_its_mode(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"before")
    target.chmod(0o640)
    link.symlink_to(target)
    with atomic_file(str(link), keep={}, overwrite=True) as descriptor:
        os.write(descriptor, b"after")
        assert target.read_bytes() == b"before"
    assert (target.read_bytes(), link.is_symlink(), target.stat().st_mode & 0o777) == (b"after", True, 0o640)
    assert len(list(tmp_path.iterdir())) == 2
