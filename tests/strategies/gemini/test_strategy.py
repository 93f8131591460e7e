"""Construction of GeminiStrategy: what it requires, what it refuses, and the key that it never shows."""

from __future__ import annotations

import copy
import subprocess
import sys

import httpx2
import pytest
from google import genai
from google.genai import types

from paceline.exceptions import ConfigurationError, MissingKeyError, MisuseError
from paceline.llm_strategies.gemini import GeminiStrategy

from .service import KEY, prepared


def run(code):
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


def test_importing_paceline_does_not_import_googles_package():
    done = run("import paceline, sys; assert not [name for name in sys.modules if name.startswith('google')]")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", ["google.genai", "httpx2", "google"])
def test_without_the_extra_there_is_one_sentence_with_the_command_that_installs_it(missing):
    done = run(
        f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == {missing!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
import paceline
try:
    from paceline.llm_strategies.gemini import GeminiStrategy
except paceline.exceptions.MissingExtraError as error:
    print(error)
"""
    )
    assert done.stdout == (
        "GeminiStrategy needs an optional package; install it with: pip install 'paceline[gemini]'\n"
    ), done.stderr


def test_without_a_key_one_sentence_says_where_it_is_looked_for():
    with pytest.raises(MissingKeyError) as caught:
        GeminiStrategy()
    for place in ("api_key", "client", "GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"):
        assert place in str(caught.value)


@pytest.mark.parametrize("name", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
def test_a_key_of_the_environment_is_enough(monkeypatch, name):
    monkeypatch.setenv(name, KEY)
    GeminiStrategy()


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_key_counts_as_missing(monkeypatch, key):
    monkeypatch.setenv("GOOGLE_API_KEY", key)
    with pytest.raises(MissingKeyError):
        GeminiStrategy(api_key=key)


@pytest.mark.parametrize("name", ["GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE"])
@pytest.mark.parametrize("yes", ["true", "True", "1"])
def test_vertex_needs_no_key(monkeypatch, name, yes):
    monkeypatch.setenv(name, yes)
    GeminiStrategy()


def test_vertex_that_is_switched_off_needs_one(monkeypatch):
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "false")
    with pytest.raises(MissingKeyError):
        GeminiStrategy()


@pytest.mark.parametrize("key", [f"{KEY}\nX-Other: 1", f"{KEY} 2", f"{KEY}é", f"{KEY}\x00"])
def test_a_key_with_invalid_characters_is_refused_and_not_shown(key):
    with pytest.raises(ConfigurationError) as caught:
        GeminiStrategy(api_key=key)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"model": ""},
        {"model": "  "},
        {"model": None},
        {"client": "genai.Client"},
        {"base_url": "example.org"},
        {"base_url": 5},
        {"system_instruction": 5},
        {"config": {"temperature": "hot"}},
        {"config": {"temprature": 1}},
        {"config": 5},
        {"config": {"system_instruction": "a"}, "system_instruction": "b"},
        {"config": {"safety_settings": []}, "safety_settings": []},
        {"config": {"cached_content": "cachedContents/x"}},
        {"config": {"response_schema": {"type": "STRING"}}, "output_type": int},
        {"config": {"response_mime_type": "text/plain"}, "output_type": int},
        {"safety_settings": [{"categori": "x"}]},
        {"safety_settings": 5},
        {"output_type": object},
        {"price": 0.3},
        {"project": "p"},
        {"vertexai": False, "location": "europe-west3"},
    ],
    ids=repr,
)
def test_an_invalid_argument_is_named(arguments):
    with pytest.raises(ConfigurationError) as caught:
        GeminiStrategy(**{"api_key": KEY, **arguments} if "client" not in arguments else arguments)
    assert "object" in str(caught.value) if "object" in repr(arguments) else list(arguments)[-1] in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "other",
    [{"api_key": KEY}, {"base_url": "http://127.0.0.1"}, {"vertexai": False}, {"project": "p"}, {"location": "here"}],
    ids=repr,
)
def test_a_client_has_its_own_key_and_place(other):
    with pytest.raises(ConfigurationError):
        GeminiStrategy(client=genai.Client(api_key=KEY), **other)


def test_vertex_is_called_by_a_key_or_for_a_project():
    with pytest.raises(ConfigurationError, match="api_key"):
        GeminiStrategy(api_key=KEY, vertexai=True, project="p")
    GeminiStrategy(vertexai=True, project="p")


def test_the_lane_is_named_after_the_model_by_default():
    assert GeminiStrategy(api_key=KEY).quota == "GeminiStrategy:gemini-2.5-flash"
    assert GeminiStrategy("gemini-2.5-pro", api_key=KEY).quota == "GeminiStrategy:gemini-2.5-pro"
    assert GeminiStrategy(api_key=KEY, quota="mine").quota == "mine"


def test_a_users_config_is_left_as_it_is():
    config = types.GenerateContentConfig(temperature=0.5, http_options=types.HttpOptions(timeout=5))
    before = config.model_copy(deep=True)
    GeminiStrategy(api_key=KEY, config=config, system_instruction="be brief")
    assert config == before


def test_the_key_is_not_in_any_repr(monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    for strategy in (GeminiStrategy(), GeminiStrategy(api_key=KEY)):
        assert repr(strategy) == "GeminiStrategy(model='gemini-2.5-flash')"
        assert KEY not in repr(vars(strategy))


# ---------------------------------------------------------------------------------------------- lifecycle


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


@pytest.mark.anyio
async def test_a_call_before_prepare_is_misuse():
    with pytest.raises(MisuseError):
        await GeminiStrategy(api_key=KEY).execute("x", 1, 1.0)


@pytest.mark.anyio
async def test_cleanup_without_prepare_does_nothing():
    await GeminiStrategy(api_key=KEY).cleanup()


@pytest.mark.anyio
async def test_copies_share_what_prepare_made():
    async with prepared(GeminiStrategy(api_key=KEY)) as item:
        assert vars(copy.copy(item)) == vars(item)


@pytest.mark.anyio
async def test_a_client_with_its_own_pool_is_accepted_on_both_backends():
    async with httpx2.AsyncClient() as pool:
        options = types.HttpOptions(httpx_async_client=pool)
        async with prepared(GeminiStrategy(client=genai.Client(api_key=KEY, http_options=options))):
            pass
        assert not pool.is_closed
