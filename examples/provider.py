"""A provider to try the examples with: a server of chat completions that refuses calls above a rate.

    python examples/provider.py --port 8001 --rate 50
    export MODEL=openai:any@http://127.0.0.1:8001/v1 OPENAI_API_KEY=any

It limits calls by a token bucket, as `paceline.testing` simulates it. `GET /counts` returns how many calls it served and refused.
"""

from __future__ import annotations

import argparse
import socket
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from paceline.testing import Reply, Service, SimulatedError, SimulatedProvider, TokenBucket


def answer(prompt: str) -> str:
    """Return what the model answers."""
    return "positive" if "good" in prompt.lower() else "negative"


def completion(reply: Reply) -> dict[str, Any]:
    """Return the body of a chat completion."""
    usage = reply.usage
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "any",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer(reply.text)}}
        ],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        },
    }


def application(service: Service) -> Starlette:
    """Return the server's application."""
    provider = SimulatedProvider(service)

    async def complete(request: Request) -> Response:
        try:
            body = await request.json()
            reply = await provider.call(str(body["messages"][-1]["content"]))
        except ClientDisconnect:  # the call was cancelled
            return Response(status_code=400)
        except SimulatedError as error:
            return JSONResponse({"error": {"message": error.message}}, error.code, dict(error.response.headers))
        return JSONResponse(completion(reply))

    async def counts(_: Request) -> JSONResponse:
        statistics = provider.statistics()
        return JSONResponse({"served": statistics.served, "refused": statistics.refused})

    return Starlette(
        routes=[Route("/v1/chat/completions", complete, methods=["POST"]), Route("/counts", counts, methods=["GET"])]
    )


def main() -> None:
    """Serve until the process is ended; the first line printed is the port."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="Port on 127.0.0.1; 0: one that is free.")
    parser.add_argument("--rate", type=float, default=50, help="Calls a second.")
    parser.add_argument("--burst", type=float, default=None, help="Calls at once; by default a second's worth.")
    parser.add_argument("--latency", type=float, default=0.3, help="Seconds of a call.")
    options = parser.parse_args()
    bucket = TokenBucket(options.rate, options.rate if options.burst is None else options.burst)
    listener = socket.create_server(("127.0.0.1", options.port), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    service = Service(limits=(bucket,), latency=options.latency, sigma=0.0)
    uvicorn.Server(uvicorn.Config(application(service), log_level="warning")).run([listener])


if __name__ == "__main__":
    main()
