"""Models by their names on the command line, against a local server."""

from __future__ import annotations

import json
import sys

import pytest

from paceline.exceptions import ConfigurationError
from paceline.runs import RunOptions
from paceline.runs.setup import strategy_of

from ..cli.conftest import KEYS
from ..cli.test_program import block
from ..strategies.chat_service import ANTHROPIC, OPENAI
from ..strategies.gemini.service import Answer

pytestmark = pytest.mark.usefixtures("no_keys")

KEY = "sk-" + "k" * 40
NO_KEYS = dict.fromkeys((*KEYS, "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"), "")


@pytest.mark.parametrize(
    ("name", "dialect"),
    [("openai:llama3.1:8b", OPENAI), ("gpt-oss:20b", OPENAI), ("anthropic:claude-x", ANTHROPIC)],
)
def test_prompts_are_answered_by_the_server_in_the_model_s_name(paceline, jsonl, service, name, dialect):
    service.says(Answer(dialect.reply("yes")))
    run = paceline("run", jsonl(3), "-o", "-", "-m", f"{name}@{service.url}/v1")
    assert run.code == 0, run.err
    assert service.requests == 3
    assert service.received[0].path.endswith(dialect.path)
    expected = name.removeprefix("openai:").removeprefix("anthropic:")
    assert {(row["output"], row["model"]) for row in run.rows} == {("yes", expected)}
    assert run.rows[0]["usage"]["cached_input_tokens"] == 5


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_a_rejected_key_stops_the_batch_and_is_never_shown(paceline, jsonl, service, dialect, monkeypatch):
    service.says(Answer(dialect.error(f"bad key {KEY}"), 401))
    monkeypatch.setenv(dialect.variable, KEY)
    monkeypatch.setenv(dialect.variable.replace("API_KEY", "BASE_URL"), service.url)
    model = "gpt-5-mini" if dialect is OPENAI else "claude-haiku-4-5"
    run = paceline("run", jsonl(50), "-o", "-", "-m", model, "--verbose")
    assert run.code == 1
    assert len(run.rows) == 50
    assert {row["error"]["kind"] for row in run.rows} == {"denied", "pending"}
    assert service.requests < 10
    assert KEY not in run.err + run.out


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("opneai:gpt-5", "unknown model 'opneai:gpt-5' (did you mean openai?); known are"),
        ("llama", "unknown model 'llama'; known are"),
        ("openai:", "the model's name is missing"),
        ("", "a model must be named"),
        ("gpt-5-mini", "no API key for openai: set OPENAI_API_KEY\n"),
        ("claude-haiku-4-5", "no API key for anthropic: set ANTHROPIC_API_KEY"),
        ("openai:gpt-5@http://", "base_url"),
    ],
)
def test_a_wrong_model_is_one_sentence_before_the_first_call(paceline, jsonl, tmp_path, model, words):
    run = paceline("run", jsonl(1), "-o", tmp_path / "out.jsonl", "-m", model)
    assert (run.code, run.out) == (2, "")
    assert len(run.err.splitlines()) == 1
    assert run.err.startswith("paceline: ")
    assert words in run.err
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("package", "model", "name"),
    [("openai", "gpt-5", "OpenAIStrategy"), ("anthropic", "claude-haiku-4-5", "AnthropicStrategy")],
)
def test_without_the_extra_one_sentence_says_what_to_install(process, jsonl, package, model, name):
    run = process("run", jsonl(1), "-o", "-", "-m", model, command=block(package))
    assert (run.code, run.out) == (2, "")
    assert run.err == (
        f"paceline: {name} needs an optional package; install it with: pip install 'paceline[{package}]'\n"
    )


def test_a_plugin_of_another_package_is_known_and_named_if_it_is_broken(paceline, jsonl, tmp_path, monkeypatch):
    info = tmp_path / "site" / "broken_models-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[paceline.models]\nbroken = not_there:Model\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    run = paceline("run", jsonl(1), "-o", "-", "-m", "broken:x")
    assert (run.code, run.out) == (2, "")
    assert "the plug-in for broken: (not_there:Model of broken-models) cannot be loaded" in run.err
    assert "not_there" not in sys.modules


@pytest.mark.parametrize(
    "name",
    ["gpt-5-mini@localhost:9999", "openai:m@http:/x", "openai:m@https//x", "openai:m@ftp://x", "openai:m@http://"],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_a_server_that_is_written_wrongly_is_one_sentence_before_anything_is_sent(
    paceline, jsonl, monkeypatch, name, dry
):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    source = jsonl(3)
    run = paceline("run", source, "-o", source.with_name("out.jsonl"), "-m", name, *dry)
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert "must b" in run.err
    assert not source.with_name("out.jsonl").exists()


def test_the_first_line_of_a_run_names_the_server(paceline, jsonl, service, monkeypatch, tmp_path):
    service.says(Answer(OPENAI.reply("yes")))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
    for journal in ([], ["--no-journal"]):
        output = tmp_path / f"out{len(journal)}.jsonl"
        run = paceline("run", jsonl(3), "-o", output, "-m", "gpt-5-mini", *journal)
        assert run.code == 0
        assert run.err.splitlines()[0] == f"paceline: gpt-5-mini is called at {service.url}/v1"


def test_a_dry_run_names_the_server_of_each_model(paceline, jsonl, monkeypatch, tmp_path):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://user:{KEY}@gateway")
    ladder = ["--escalate", "gpt-5-mini,claude-haiku-4-5,openai:m@http://127.0.0.1:1/v1"]
    run = paceline("run", jsonl(3), "-o", tmp_path / "out.jsonl", *ladder, "--dry-run", "--json")
    plan = json.loads(run.out)
    assert [model["server"] for model in plan["models"]] == [
        "https://api.openai.com/v1",
        "http://gateway",
        "http://127.0.0.1:1/v1",
    ]
    assert KEY not in run.out + run.err


@pytest.mark.parametrize("option", ["system", "schema"])
def test_a_file_without_end_is_refused(tmp_path, option):
    (tmp_path / "in.txt").write_text("hello\n")
    options = RunOptions(
        input=str(tmp_path / "in.txt"), output=str(tmp_path / "o"), model="sim", **{option: "/dev/zero"}
    )
    with pytest.raises(ConfigurationError, match=rf"^/dev/zero: --{option}: is larger than 16 MB"):
        strategy_of(options)
