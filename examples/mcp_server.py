"""An MCP server over stdio, with a tool that calls a model through a pool: many calls of the tool at once share the model's limit.

    export MODEL=gpt-5-mini OPENAI_API_KEY=...
    python examples/mcp_server.py

The lifespan opens the pool. Standard output belongs to the protocol: log to standard error.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

import paceline
from paceline import LLMCallStrategy
from paceline.exceptions import Busy


@attrs.frozen
class State:
    """What the tools share."""

    pool: paceline.Pool
    strategy: LLMCallStrategy[str]


@asynccontextmanager
async def lifespan(_: MCPServer[State]) -> AsyncIterator[State]:
    """Open the pool."""
    strategy = paceline.model(os.environ.get("MODEL", "sim:rate=50"))
    async with paceline.open_pool() as pool:
        yield State(pool, strategy)


server = MCPServer("classifier", lifespan=lifespan, log_level="WARNING")


@server.tool()
async def classify(text: str, context: Context[State]) -> str:
    """Say whether a text is positive or negative."""
    shared = context.request_context.lifespan_context
    try:
        result = await shared.pool.call(shared.strategy, f"Positive or negative? {text}", timeout=20)
    except Busy as busy:
        raise ToolError(f"The model is busy. Try again in {busy.retry_after:.0f} seconds.") from busy
    if not result.success:
        raise ToolError(f"The model did not answer: {result.error}")
    return result.output


if __name__ == "__main__":
    server.run("stdio")
