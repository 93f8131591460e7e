"""inspect_ai and lm_eval through paceline, each in a venv of its own: the same scores as by their own providers, against one local server.

The venvs are made once, below the folder that PACELINE_FRAMEWORKS names, by default `build/frameworks`. It takes uv or pip, and PyPI: so
these tests are skipped unless PACELINE_LIVE is set.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from benchmarks.frameworks import alone, venv

from .frameworks.server import RIGHT, TOOL, ChatServer, chat_server

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "frameworks"
FOLDER = Path(os.environ.get("PACELINE_FRAMEWORKS", ROOT / "build" / "frameworks"))
PAGE = ROOT / "docs" / "how-to" / "run-inspect-and-lm-eval.md"
LIMIT = 600  # seconds of a program, which takes 20 on an idle machine

pytestmark = pytest.mark.skipif(
    not os.environ.get("PACELINE_LIVE"), reason="set PACELINE_LIVE=1 to install inspect_ai and lm_eval, and to run them"
)


def run(framework, program, *arguments, tmp_path, **environment):
    """Run a program in a framework's venv; return the JSON that it prints."""
    python = venv(framework, FOLDER)
    settings = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path), "OPENAI_API_KEY": "any"}
    folders = {
        "LOGS": str(tmp_path / "logs"),
        "INSPECT_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT / "src"),
    }
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        [str(python), str(PROGRAMS / program), *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True,
        timeout=LIMIT, check=False, env={**kept, **settings, **folders, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4_000:]
    return json.loads(done.stdout.splitlines()[-1])


CASES = [
    "scored:own", "scored:openai", "scored:gemini", "scored:anthropic", "tools:own", "tools:openai", "tools:gemini", "tools:anthropic",
    "too_long:own", "too_long:openai", "cut:openai", "cached:openai", "sampled:openai", "batched:openai", "cancelled:sim", "unusable:sim",
]  # fmt: skip


@pytest.fixture(scope="module")
def inspect_results(tmp_path_factory):
    """Return what evaluations came to, and what the server was sent. They run once, whichever worker of pytest needs them first."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    stored = shared / "inspect.json"
    with alone(shared / "inspect.lock"):
        if not stored.exists():
            with chat_server() as server:
                server.refuse = 3  # its own client repeats these calls, and so does paceline
                folder = tmp_path_factory.mktemp("inspect")
                found = run("inspect", "inspect_program.py", server.url, *CASES, tmp_path=folder)
            stored.write_text(json.dumps([found, server.received]), "utf-8")
        found, received = json.loads(stored.read_text("utf-8"))
    return found, ChatServer(received=received)


SAME = ("scores", "completions", "stops", "usage", "ids", "roles")


def test_inspect_scores_an_evaluation_as_with_its_own_provider(inspect_results):
    found, server = inspect_results
    own, ours = found["scored:own"], found["scored:openai"]
    assert own["status"] == "success"
    assert 0 < own["scores"]["accuracy"] < 1
    assert {name: ours[name] for name in SAME} == {name: own[name] for name in SAME}
    sent = [{name: body[name] for name in body if name != "model"} for body in server.bodies("/v1/chat/completions")]
    briefs = [body for body in sent if body["messages"][0] == {"role": "system", "content": "Be brief."}]
    distinct = {json.dumps(body, sort_keys=True) for body in briefs}
    assert len(distinct) == 12  # each question was sent by both, in the same words and with the same settings


def test_inspect_gets_the_same_scores_from_each_form_of_api(inspect_results):
    found, _ = inspect_results
    for name in ("scored:gemini", "scored:anthropic"):
        assert found[name]["completions"] == found["scored:own"]["completions"]
        assert found[name]["scores"] == found["scored:own"]["scores"]
    assert found["scored:gemini"]["usage"][0] == {
        "input_tokens": 11, "output_tokens": 7, "total_tokens": 18, "reasoning_tokens": 3,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["openai", "gemini", "anthropic"])
def test_inspects_tools_are_called_and_their_results_sent_back(inspect_results, name):
    found, server = inspect_results
    ours = found[f"tools:{name}"]
    assert ours["scores"]["accuracy"] == 1
    assert ours["roles"] == found["tools:own"]["roles"] == [["user", "assistant", "tool", "assistant"]]
    path = {"openai": "/chat/completions", "gemini": "generateContent", "anthropic": "/messages"}[name]
    texts = [json.dumps(body) for body in server.bodies(path)]
    assert any(TOOL in text and "Paris" in text for text in texts)
    if name != "openai":  # what a model thought goes back with its signature
        assert any("c2ln" in text for text in texts)


def test_inspect_sees_a_prompt_that_is_too_long_and_an_answer_that_was_cut_off(inspect_results):
    found, _ = inspect_results
    own, ours = found["too_long:own"], found["too_long:openai"]
    assert ours["stops"] == own["stops"] == ["model_length"]
    assert own["completions"][0] in ours["completions"][0]
    assert found["cut:openai"]["stops"] == ["max_tokens"]
    assert found["cut:openai"]["completions"] == ["ANSWER"]


def test_inspects_cache_spares_calls_and_its_epochs_are_samples_of_their_own(inspect_results):
    found, server = inspect_results
    texts = [json.dumps(body) for body in server.bodies()]
    assert sum("cached?" in text for text in texts) == 2
    assert found["cached:openai"]["first"]["completions"] == found["cached:openai"]["second"]["completions"]
    assert sum("sampled?" in text for text in texts) == 3


def test_inspect_gets_a_sentence_for_the_batch_mode(inspect_results):
    found, _ = inspect_results
    assert found["batched:openai"]["status"] == "error"
    assert "remove --batch" in found["batched:openai"]["error"]


def test_inspect_can_cancel_a_call(inspect_results):
    found, _ = inspect_results
    assert found["cancelled:sim"] == {"cancelled": True, "answer": "simulated: hello"}


def test_inspect_prints_a_sentence_if_a_model_cannot_be_used(inspect_results):
    found, _ = inspect_results
    assert found["unusable:sim"]["type"] == "PrerequisiteError"
    assert found["unusable:sim"]["message"].endswith("or set OPENAI_API_KEY")


def test_inspect_on_trio_scores_the_same(inspect_results, tmp_path):
    with chat_server() as server:
        found = run(
            "inspect", "inspect_program.py", server.url, "scored:openai", "cancelled:sim",
            tmp_path=tmp_path, INSPECT_ASYNC_BACKEND="trio",
        )  # fmt: skip
    assert found["scored:openai"] == inspect_results[0]["scored:openai"]
    assert found["cancelled:sim"] == inspect_results[0]["cancelled:sim"]


def test_lm_eval_scores_a_task_as_with_its_own_model(tmp_path):
    cases = ["own", "openai", "gemini", "anthropic", "sim", "journal", "journal", "openai:choices"]
    with chat_server() as server:
        own, openai, gemini, anthropic, sim, journal, again, choices = run(
            "lm-eval", "lm_eval_program.py", server.url, tmp_path, *cases, tmp_path=tmp_path
        )
        assert 0 < own["score"] < 1
        assert openai == gemini == anthropic == journal == again == own
        assert sim["answers"][3] == "simulated: What is 3 + 9?"
        assert "chat APIs do not report how likely" in choices["error"]
        assert len(server.received) == 5 * len(own["answers"])  # the second run with the journal made no call


@pytest.mark.parametrize("framework", ["inspect", "lm-eval"])
def test_what_the_page_of_the_documentation_shows_runs(framework, tmp_path):
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (file,) = [text for language, text in blocks if language == "python" and "def capitals" in text]
    (tmp_path / "capitals.py").write_text(file, "utf-8")
    (command,) = [
        text
        for language, text in blocks
        if not language and "sim:" in text and (framework == "inspect") == ("inspect eval" in text)
    ]
    program = venv(framework, FOLDER)
    environment = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT, check=False,
        env={**os.environ, **environment, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4_000:]
    assert ("accuracy" if framework == "inspect" else "exact_match") in done.stdout


assert 0 < RIGHT < 1  # else equal scores would show nothing
