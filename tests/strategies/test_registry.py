"""Model names and their strategies, and the messages for names without one."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from paceline import LLMCallStrategy
from paceline.exceptions import ConfigurationError, MissingKeyError
from paceline.llm_strategies.registry import model
from paceline.testing import SimulatedStrategy

KEY = "sk-not-to-be-seen-0123456789"
VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("gemini:gemini-2.5-flash", "GeminiStrategy", "gemini-2.5-flash"),
        ("gemini-2.5-pro", "GeminiStrategy", "gemini-2.5-pro"),
        ("gemma-3-27b-it", "GeminiStrategy", "gemma-3-27b-it"),
        ("openai:gpt-5-mini", "OpenAIStrategy", "gpt-5-mini"),
        (" openai : my-own:tag ", "OpenAIStrategy", "my-own:tag"),
        ("gpt-5-mini", "OpenAIStrategy", "gpt-5-mini"),
        ("chatgpt-4o-latest", "OpenAIStrategy", "chatgpt-4o-latest"),
        ("o4-mini", "OpenAIStrategy", "o4-mini"),
        ("gpt-oss:20b", "OpenAIStrategy", "gpt-oss:20b"),
        ("anthropic:claude-haiku-4-5", "AnthropicStrategy", "claude-haiku-4-5"),
        ("claude-sonnet-4-5@20250929", "AnthropicStrategy", "claude-sonnet-4-5@20250929"),
        ("sim", "SimulatedStrategy", "sim"),
        ("sim:rate=5,latency=0.1", "SimulatedStrategy", "sim"),
    ],
)
def test_a_model_name_selects_a_strategy(text, kind, name):
    options = {} if text.startswith("sim") else {"api_key": KEY}
    strategy = model(text, **options)
    assert (type(strategy).__name__, strategy.model) == (kind, name)
    assert isinstance(strategy, LLMCallStrategy)


def test_the_quota_of_a_simulated_model_is_its_whole_text():
    assert model(" sim:rate=5 ").quota == "sim:rate=5"
    assert isinstance(model("sim"), SimulatedStrategy)


@pytest.mark.parametrize("text", ["openai:llama3.1:8b", "gpt-oss:20b"])
def test_a_server_may_be_named_behind_the_model(text):
    strategy = model(f"{text}@http://127.0.0.1:8000/v1")
    assert strategy.model == text.removeprefix("openai:")
    assert strategy.quota.endswith("@127.0.0.1:8000")


def test_options_are_passed_to_the_strategy():
    assert model("gpt-5-mini", api_key=KEY, quota="mine").quota == "mine"


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("", {}, "a model must be named"),
        ("  ", {}, "a model must be named"),
        (None, {}, "not None"),
        (
            "opneai:gpt-5",
            {},
            "unknown model 'opneai:gpt-5' (did you mean openai?); known are anthropic:..., gemini:...",
        ),
        ("gemni-2.5-flash", {}, "(did you mean gemini-2.5-flash?)"),
        ("GEMINI:x", {}, "(did you mean gemini?)"),
        ("llama", {}, "unknown model 'llama'; known are"),
        (
            "llama3.1:8b@http://h:9/v1",
            {},
            "'llama3.1:8b@http://h:9/v1' does not say which API it has; for OpenAI's form write openai:llama3.1:8b@http://h:9/v1",
        ),
        ("opneai:m@http://me:" + KEY + "@h:9/v1", {}, "unknown model 'opneai:m@http://h:9/v1' (did you mean openai?)"),
        ("simulated", {}, "unknown model 'simulated'"),
        ("openai:", {}, "the model's name is missing; write it after openai:"),
        ("openai: ", {}, "the model's name is missing; write it after openai:"),
        ("openai:@http://127.0.0.1/v1", {}, "the model's name is missing; write it after openai:"),
        ("sim:", {}, "the model's name is missing; write it after sim:"),
        ("sim:rat=5", {}, "sim has no option 'rat'"),
        ("sim:rate=5@http://127.0.0.1", {}, "sim has no option 'base_url'"),
        ("sim", {"sead": 5}, "sim has no option 'sead'"),
        ("gpt-5", {"api_kye": KEY}, "openai has no option 'api_kye' (did you mean api_key?); it has api_key, base_url"),
        ("gpt-5@http://127.0.0.1", {"base_url": "http://127.0.0.2"}, "the server is given twice"),
        ("gemini-2.5-flash", {"modle": 5}, "gemini has no option 'modle'"),
    ],
)
def test_an_error_is_one_sentence(text, options, words):
    with pytest.raises(ConfigurationError) as caught:
        model(text, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(("text", "name"), [("gpt-5", "OPENAI_API_KEY"), ("claude-haiku-4-5", "ANTHROPIC_API_KEY")])
def test_without_a_key_one_sentence_says_where_it_is_looked_for(text, name):
    with pytest.raises(MissingKeyError, match=name):
        model(text)


# ---------------------------------------------------------------------------------------------- what is imported: nothing too early


def run(code):
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_no_package_is_imported_before_it_is_needed():
    done = run(
        """
        import sys
        from paceline.llm_strategies.registry import model
        model("sim")
        heavy = {"openai", "anthropic", "google.genai", "httpx2", "pydantic"} & sys.modules.keys()
        assert not heavy, heavy
        model("gpt-5", api_key="k")
        assert not {"anthropic", "google.genai"} & sys.modules.keys()
        """
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("provider", "package", "name"),
    [("openai", "openai", "OpenAIStrategy"), ("anthropic", "anthropic", "AnthropicStrategy")],
)
def test_without_the_package_one_sentence_says_what_to_install(provider, package, name):
    done = run(
        f"""
        import sys
        sys.modules[{package!r}] = sys.modules["httpx2"] = None  # which comes with the package
        from paceline.exceptions import MissingExtraError
        from paceline.llm_strategies.registry import model
        try:
            model("{provider}:x")
        except MissingExtraError as error:
            print(error)
        """
    )
    assert done.stdout == (
        f"{name} needs an optional package; install it with: pip install 'paceline[{provider}]'\n"
    ), done.stderr


# ---------------------------------------------------------------------------------------------- other packages' models

PLUGIN = """
import paceline

class Echo(paceline.LLMCallStrategy):
    def __init__(self, name, *, loud=False):
        if name == "impossible":
            raise paceline.exceptions.ConfigurationError("echo knows no impossible")
        if name == "broken":
            raise RuntimeError("no luck with sk-0123456789abcdefghij")
        self.model = name.upper() if loud else name

    async def execute(self, prompt, attempt, timeout):
        return prompt, None

def anything(name, **options):
    return {"name": name, **options}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Make a directory in which a package is installed that registers models of its own, and look there too."""

    def make(points, name="echo-models"):
        root = tmp_path / name
        info = root / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[paceline.models]\n{points}\n")
        (root / "echo_models.py").write_text(PLUGIN)
        monkeypatch.syspath_prepend(root)
        monkeypatch.delitem(sys.modules, "echo_models", raising=False)

    yield make
    sys.modules.pop("echo_models", None)


def said(text, **options):
    with pytest.raises(ConfigurationError) as caught:
        model(text, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_package_may_register_a_provider(install):
    install("echo = echo_models:Echo")
    assert model("echo: a:b@http://x ").model == "a:b@http://x"
    assert model("echo:a", loud=True).model == "A"


@pytest.mark.parametrize(
    ("point", "text", "words"),
    [
        ("Echo", "ehco:a", "(did you mean echo?)"),
        ("Echo", "nothing:a", "echo:..."),
        ("Echo", "echo:", "the model's name is missing; write it after echo:"),
        ("Echo", "echo:broken", "the plug-in for echo: (echo_models:Echo of echo-models) failed: RuntimeError"),
        ("Ehco", "echo:a", "the plug-in for echo: (echo_models:Ehco of echo-models) cannot be loaded"),
        ("paceline", "echo:a", "the plug-in for echo: (echo_models:paceline of echo-models) failed: TypeError"),
        ("anything", "echo:a", "(echo_models:anything of echo-models) must return an LLMCallStrategy, not dict"),
    ],
)
def test_a_plugin_that_is_broken_is_named_in_one_sentence(install, point, text, words):
    install(f"echo = echo_models:{point}")
    sentence = said(text)
    assert words in sentence
    assert "sk-0123456789" not in sentence


def test_an_error_of_a_plugin_passes_unchanged(install):
    install("echo = echo_models:Echo")
    assert said("echo:impossible") == "echo knows no impossible"


def test_a_package_that_is_found_twice_is_one(install):
    install("echo = echo_models:Echo")
    install("echo = echo_models:Echo", "echo-models-again")
    assert model("echo:a").model == "a"


def test_a_module_that_is_not_there_is_named(install):
    install("echo = not_there:Echo")
    assert "(not_there:Echo of echo-models) cannot be loaded: ModuleNotFoundError" in said("echo:a")


def test_an_option_that_a_plugin_does_not_take_is_named(install):
    install("echo = echo_models:Echo\nany = echo_models:anything")
    assert "echo has no option 'lout' (did you mean loud?); it has loud" in said("echo:a", lout=True)
    assert "not dict" in said("any:a", lout=True)


def test_a_provider_registered_by_two_packages_is_refused(install):
    install("echo = echo_models:Echo")
    install("echo = echo_models:anything", "other-models")
    sentence = said("echo:a")
    assert "echo_models:Echo of echo-models" in sentence
    assert "echo_models:anything of other-models" in sentence
    assert "more than once" in sentence


def test_a_plugin_cannot_replace_a_built_in_provider(install):
    install("sim = echo_models:Echo")
    assert isinstance(model("sim:rate=5"), SimulatedStrategy)
