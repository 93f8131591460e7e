"""The client of a chat strategy: what it shows, and whom it serves."""

from __future__ import annotations

import openai
import pytest

from paceline.llm_strategies.chat_client import ChatClient, Endpoint, Provider

KEY = "sk-0123456789"
HOME = "https://api.example.org/v1"
PROVIDER = Provider(
    name="openai",
    title="Example",
    paths={},
    client=openai.AsyncOpenAI,
    key_names=("EXAMPLE_KEY",),
    home=HOME,
    url_name="EXAMPLE_URL",
    other_url_names=(),
    endpoints=(),
    account_names={},
    arguments=frozenset(),
    modes=(),
    hosts=(".example.org",),
)


def endpoint(url=None, **accounts):
    return Endpoint(KEY, url, HOME, accounts)


def test_an_endpoint_never_prints_its_key():
    assert KEY not in repr(endpoint("http://127.0.0.1:9/v1"))


@pytest.mark.parametrize(
    ("url", "server", "compatible"),
    [
        (None, "https://api.example.org/v1", None),
        ("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1", "127.0.0.1:9"),
        (f"http://me:{KEY}@127.0.0.1:9/v1", "http://127.0.0.1:9/v1", "127.0.0.1:9"),
    ],
)
def test_a_server_is_shown_without_credentials(url, server, compatible):
    client = ChatClient(PROVIDER, endpoint(url))
    assert client.server.startswith(server)
    assert client.compatible_server == compatible
    assert KEY not in client.server


def test_the_accounts_that_are_charged_are_shown():
    shown = ChatClient(PROVIDER, endpoint(organization="org-1", project=None)).server
    assert shown.endswith(", organization org-1")


def test_the_key_that_is_blanked_is_the_one_that_is_sent():
    assert ChatClient(PROVIDER, endpoint()).api_key == KEY
    assert ChatClient(PROVIDER, None, given=openai.AsyncOpenAI(api_key=KEY)).api_key == KEY


async def test_a_client_lives_until_its_last_user_leaves(anyio_backend):
    client = ChatClient(PROVIDER, endpoint())
    assert client.get() is None
    client.open()
    made = client.get()
    client.open()
    await client.close()
    assert client.get() is made
    await client.close()
    assert client.get() is None
    await client.close()  # one too many does no harm


async def test_a_client_of_the_users_is_never_closed(anyio_backend):
    given = openai.AsyncOpenAI(api_key=KEY, base_url="http://127.0.0.1:9/v1")
    client = ChatClient(PROVIDER, None, given=given)
    client.open()
    assert client.get().max_retries == 0
    await client.close()
    assert not given.is_closed()
    assert client.get() is not None
    await given.close()
