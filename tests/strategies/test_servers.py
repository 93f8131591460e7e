"""Servers: where calls go is what was set, is named without credentials, and is never another by a blank variable."""

from __future__ import annotations

import httpx2
import openai
import pytest
from google import genai
from google.genai.types import HttpOptions

from paceline import model
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies import ValidationFeedback
from paceline.llm_strategies.anthropic import AnthropicStrategy
from paceline.llm_strategies.gemini import GeminiStrategy
from paceline.llm_strategies.openai import OpenAIStrategy

from .chat_service import OPENAI, forget_keys
from .gemini.service import Answer, prepared

KEY = "sk-0123456789"
SECRET = "s3cret"  # noqa: S105 - not one
HOMES = {
    OpenAIStrategy: "https://api.openai.com/v1",
    AnthropicStrategy: "https://api.anthropic.com",
    GeminiStrategy: "https://generativelanguage.googleapis.com",
}
VARIABLES = {
    OpenAIStrategy: "OPENAI_BASE_URL",
    AnthropicStrategy: "ANTHROPIC_BASE_URL",
    GeminiStrategy: "GOOGLE_GEMINI_BASE_URL",
}
OTHERS = {
    OpenAIStrategy: ["OPENAI_API_BASE", "OPENAI_API_BASE_URL"],
    AnthropicStrategy: ["ANTHROPIC_API_BASE", "ANTHROPIC_API_URL"],
    GeminiStrategy: ["GEMINI_BASE_URL", "GEMINI_API_BASE", "GOOGLE_API_BASE"],
}
PROXIES = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy"]
GOOGLE = [
    *("GOOGLE_VERTEX_BASE_URL", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE"),
    *("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"),
]
each = pytest.mark.parametrize("cls", HOMES, ids=lambda cls: cls.__name__)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    forget_keys(monkeypatch)
    for name in [*VARIABLES.values(), *(name for names in OTHERS.values() for name in names), *PROXIES, *GOOGLE]:
        monkeypatch.delenv(name, raising=False)


@each
@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_variable_is_not_set(cls, blank, monkeypatch):
    monkeypatch.setenv(VARIABLES[cls], blank)
    assert cls("m", api_key=KEY).server == HOMES[cls]


@each
def test_a_variable_names_the_server_and_a_base_url_wins(cls, monkeypatch):
    monkeypatch.setenv(VARIABLES[cls], f" http://user:{SECRET}@gateway:8000/x \n")
    assert cls("m", api_key=KEY).server == "http://gateway:8000/x"
    assert cls("m", api_key=KEY, base_url="http://127.0.0.1:9").server == "http://127.0.0.1:9"


@each
@pytest.mark.parametrize("url", ["", " ", "localhost:9999", "http:/x", "http://h/v1?a=b", "http://h h"])
def test_a_base_url_is_checked_when_the_strategy_is_made(cls, url, monkeypatch):
    with pytest.raises(ConfigurationError, match="base_url must be like"):
        cls("m", api_key=KEY, base_url=url)
    if url.strip():
        monkeypatch.setenv(VARIABLES[cls], url)
        with pytest.raises(ConfigurationError, match=f"{VARIABLES[cls]} must be like"):
            cls("m", api_key=KEY)


@each
def test_a_variable_of_other_programs_is_not_ignored_in_silence(cls, monkeypatch):
    for name in OTHERS[cls]:
        monkeypatch.setenv(name, f"http://u:{SECRET}@127.0.0.1:8000/v1")
        with pytest.raises(
            ConfigurationError, match=f"{name} is set to 'http://127.0.0.1:8000/v1' but is not used"
        ) as caught:
            cls("m", api_key=KEY)
        assert SECRET not in str(caught.value)
        assert cls("m", api_key=KEY, base_url="http://h").server == "http://h"
        monkeypatch.setenv(name, " ")
        assert cls("m", api_key=KEY).server == HOMES[cls]


@pytest.mark.parametrize("end", ["chat/completions", "completions/", "responses", "models"])
def test_a_base_url_ends_before_the_path_of_a_call(end):
    with pytest.raises(ConfigurationError, match=f"leave out /{end.rstrip('/')}"):
        OpenAIStrategy("m", api_key=KEY, base_url=f"http://h/v1/{end}")


def test_vertex_ai_is_named_with_project_and_location():
    strategy = GeminiStrategy("m", vertexai=True, project="acme", location="europe-west3")
    assert (
        strategy.server
        == "https://europe-west3-aiplatform.googleapis.com (Vertex AI, project acme, location europe-west3)"
    )
    assert (
        GeminiStrategy("m", vertexai=True, project="p").server
        == "https://aiplatform.googleapis.com (Vertex AI, project p, location global)"
    )
    assert "of the credentials" in GeminiStrategy("m", vertexai=True, location="eu").server
    assert (
        GeminiStrategy("m", vertexai=True, api_key=KEY).server
        == "https://aiplatform.googleapis.com (Vertex AI, by an API key)"
    )


@pytest.mark.parametrize("name", ["GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE"])
def test_whether_vertex_ai_is_called_is_said_clearly(name, monkeypatch):
    monkeypatch.setenv(name, "yes")
    with pytest.raises(ConfigurationError, match=f"{name} must be true or false, not 'yes'"):
        GeminiStrategy("m", api_key=KEY)
    monkeypatch.setenv(name, " TRUE ")
    assert "Vertex AI" in GeminiStrategy("m", api_key=KEY).server
    for value in (" ", "0", "False"):
        monkeypatch.setenv(name, value)
        assert GeminiStrategy("m", api_key=KEY).server == HOMES[GeminiStrategy]


def test_a_proxy_and_an_account_of_the_environment_are_named(monkeypatch):
    monkeypatch.setenv("https_proxy", f"http://u:{SECRET}@proxy:3128")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "")
    strategy = OpenAIStrategy("m", api_key=KEY)
    assert strategy.server == "https://api.openai.com/v1 through the proxy http://proxy:3128, organization org-1"
    monkeypatch.setenv("no_proxy", "api.openai.com")
    assert strategy.server == "https://api.openai.com/v1, organization org-1"


def test_the_server_of_a_client_is_named():
    client = openai.AsyncOpenAI(api_key=KEY, base_url=f"http://u:{SECRET}@h/v1")
    assert OpenAIStrategy("m", client=client).server == "http://h/v1"
    options = HttpOptions(base_url="http://h", httpx_async_client=httpx2.AsyncClient())
    assert GeminiStrategy("m", client=genai.Client(api_key=KEY, http_options=options)).server == "http://h"


def test_a_strategy_around_another_names_its_server():
    assert ValidationFeedback(OpenAIStrategy("m", api_key=KEY, base_url="http://h")).server == "http://h"
    assert model("sim").server is None


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


@pytest.mark.anyio
async def test_blank_variables_of_the_account_are_not_sent(service, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    service.says(Answer(OPENAI.reply("yes")))
    async with prepared(OPENAI.at(f"{service.url}/v1")) as item:
        await item.execute("hello", 1, 60.0)
    (received,) = service.received
    assert "openai-organization" not in received.headers
    assert received.headers["openai-project"] == "proj-1"
