"""One response answers one request, whatever a server sends behind it."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from paceline.llm_strategies.gemini import GeminiStrategy

from .chat_service import ANTHROPIC, OPENAI
from .gemini.service import KEY, prepared, reply

PROVIDERS = {
    "openai": (OPENAI.at, OPENAI.reply),
    "anthropic": (ANTHROPIC.at, ANTHROPIC.reply),
    "gemini": (lambda url: GeminiStrategy(api_key=KEY, base_url=url), reply),
}


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


class Doubling:
    """A server that answers each request with its prompt, and sends another response behind it."""

    def __init__(self, answer):
        self.answer = answer
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as file:
            try:
                while file.readline():
                    length = 0
                    while header := file.readline().strip():
                        name, _, value = header.partition(b":")
                        length = int(value) if name.lower() == b"content-length" else length
                    asked = json.loads(file.read(length))
                    prompt = json.dumps(asked).split("ask-")[1][:2]
                    connection.sendall(self._response(f"answer {prompt}") + self._response("forged"))
            except OSError:
                return

    def _response(self, text):
        body = json.dumps(self.answer(text)).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.anyio
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_second_response_on_a_connection_answers_nothing(provider, caplog):
    make, answer = PROVIDERS[provider]
    server = Doubling(answer)
    try:
        async with prepared(make(server.url)) as item:
            for number in range(10, 16):
                assert (await item.execute(f"ask-{number}", 1, 60.0))[0] == f"answer {number}"
    finally:
        server.close()
    assert server.connections == 6
    assert "127.0.0.1 sent more than one response; the connection is closed" in caplog.text
