"""Certificates: a server whose certificate is not trusted is not sent a key or a prompt, and the batch ends at once with the reason."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
import trustme

from paceline import FaultKind, run_prompts
from paceline._core.fault import FaultReason
from paceline.llm_strategies.anthropic import AnthropicStrategy
from paceline.llm_strategies.gemini import GeminiStrategy
from paceline.llm_strategies.openai import OpenAIStrategy


@pytest.fixture
def impostor():
    """A server with the certificate of an authority that no client knows; yields its URL, and what it was sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    received = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                received.append(b"")
                try:
                    with context.wrap_socket(connection, server_side=True) as encrypted:
                        received.append(encrypted.recv(100_000))
                except OSError:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}", received
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@pytest.mark.parametrize("cls", [OpenAIStrategy, AnthropicStrategy, GeminiStrategy])
def test_a_certificate_that_is_not_trusted_ends_the_batch_at_once_with_the_reason(impostor, cls, backend):
    url, received = impostor
    batch = run_prompts(cls("m", api_key="key-that-stays-here", base_url=url), ["a secret"] * 20, backend=backend)
    assert batch.failures == {FaultKind.DENIED: 1, FaultKind.PENDING: 19}
    (group,) = batch.faults
    assert group.reason is FaultReason.UNTRUSTED
    assert f"the certificate of {url} is not trusted: " in group.message
    assert b"".join(received) == b""
    assert len(received) == 1
