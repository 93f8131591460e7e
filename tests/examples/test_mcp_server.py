"""The MCP server, driven by an MCP client over stdio."""

from __future__ import annotations

import sys

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from .programs import EXAMPLES, provider


def call_tool(environment, texts):
    """Call the tool for all texts at once, and return its results."""
    results = {}

    async def main():
        parameters = StdioServerParameters(
            command=sys.executable, args=["mcp_server.py"], cwd=str(EXAMPLES), env=environment
        )
        with anyio.fail_after(60):
            async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
                await session.initialize()
                tools = await session.list_tools()
                assert [tool.name for tool in tools.tools] == ["classify"]
                async with anyio.create_task_group() as group:
                    for text in texts:
                        group.start_soon(call, session, text)

    async def call(session, text):
        results[text] = await session.call_tool("classify", {"text": text})

    anyio.run(main)
    return results


def test_calls_of_the_tool_at_once_are_answered_at_the_pace_of_the_provider():
    texts = [f"{'Good' if number % 2 else 'Bad'} {number}" for number in range(60)]
    with provider(rate=50, burst=20, latency=0.1) as backend:
        results = call_tool(backend.environment, texts)
        counts = backend.counts()
    answers = {text: result.content[0].text for text, result in results.items()}
    assert answers == {text: "positive" if text.startswith("Good") else "negative" for text in texts}
    assert counts["served"] == 60


def test_a_failed_call_is_an_error_of_the_tool_and_the_server_answers_the_next():
    with provider(rate=50) as backend:
        environment = backend.environment | {"MODEL": f"openai:any@http://127.0.0.1:{backend.port}/nowhere"}
        results = call_tool(environment, ["one", "two"])
    assert all(result.is_error for result in results.values())
    assert "404" in results["two"].content[0].text
