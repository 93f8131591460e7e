"""Vertex AI: with a key, or with Google credentials whose tokens are refreshed before they expire."""

from __future__ import annotations

import json

import anyio
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.exceptions import DefaultCredentialsError

from paceline import FaultKind
from paceline.llm_strategies.gemini import GeminiStrategy

from .service import KEY, Answer, fault_of, prepared, reply

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


async def test_vertex_is_called_with_a_key(service, monkeypatch):
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    service.says(Answer(reply("good")))
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url)) as item:
        assert (await item.execute("hello", 1, 60.0))[0] == "good"
    assert service.received[0].path == "/v1beta1/publishers/google/models/gemini-2.5-flash:generateContent"


async def test_vertex_is_called_with_a_key_of_the_environment_where_no_project_is_named(service, monkeypatch):
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    service.says(Answer(reply("good")))
    async with prepared(GeminiStrategy(base_url=service.url)) as item:
        await item.execute("hello", 1, 60.0)
    assert service.received[0].headers["x-goog-api-key"] == KEY


@pytest.mark.usefixtures("service_account")
@pytest.mark.parametrize("place", ["GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"])
async def test_a_project_or_a_location_of_the_environment_comes_before_its_key(service, monkeypatch, place):
    monkeypatch.delenv("GOOGLE_CLOUD_LOCATION")
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    monkeypatch.setenv(place, "somewhere")
    service.says(token(3600), Answer(reply("good")))
    async with prepared(GeminiStrategy(base_url=service.url)) as item:
        await item.execute("hello", 1, 60.0)
    assert service.received[1].headers["authorization"] == "Bearer vertex-token"
    assert "x-goog-api-key" not in service.received[1].headers


@pytest.fixture
def service_account(service, tmp_path, monkeypatch):
    """Credentials whose tokens come from the scripted service."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "client_email": "a@example.org", "token_uri": f"{service.url}/token"}
    path = tmp_path / "account.json"
    path.write_text(json.dumps({**account, "private_key": key.decode(), "project_id": "p"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "europe-west3")


def token(seconds, value="vertex-token"):
    return Answer({"access_token": value, "expires_in": seconds, "token_type": "Bearer"})


@pytest.mark.usefixtures("service_account")
async def test_vertex_is_called_with_a_token_that_is_fetched_once_for_all(service):
    service.says(token(3600), Answer(reply("good")))
    async with prepared(GeminiStrategy(base_url=service.url)) as item, anyio.create_task_group() as nursery:
        for _ in range(5):
            nursery.start_soon(item.execute, "hello", 1, 60.0)
    first, *calls = service.received
    assert first.path == "/token"
    assert {call.path for call in calls} == {
        "/v1beta1/projects/p/locations/europe-west3/publishers/google/models/gemini-2.5-flash:generateContent"
    }
    assert {call.headers["authorization"] for call in calls} == {"Bearer vertex-token"}


@pytest.mark.usefixtures("service_account")
async def test_an_expiring_token_is_refreshed_and_not_by_the_sdk(service):
    service.says(token(60), Answer(reply("good")), token(3600, "the-next-token"), Answer(reply("good")))
    async with prepared(GeminiStrategy(base_url=service.url)) as item:
        for _ in range(3):
            assert (await item.execute("hello", 1, 60.0))[0] == "good"
    assert [received.path == "/token" for received in service.received] == [True, False, True, False, False]
    calls = [received.headers["authorization"] for received in service.received if received.path != "/token"]
    assert calls == ["Bearer vertex-token", "Bearer the-next-token", "Bearer the-next-token"]


@pytest.mark.usefixtures("service_account")
async def test_refused_credentials_are_denied(service):
    service.says(Answer({"error": "invalid_grant"}, 400))
    async with prepared(GeminiStrategy(base_url=service.url)) as item:
        fault, _ = await fault_of(item)
    assert fault.kind is FaultKind.DENIED


async def test_vertex_without_credentials_is_denied(monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    strategy = GeminiStrategy()
    with pytest.raises(DefaultCredentialsError) as caught:
        await strategy.prepare()
    assert strategy.error_classifier.classify(caught.value).kind is FaultKind.DENIED
