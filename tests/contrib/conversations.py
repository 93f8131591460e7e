"""Conversations as inspect_ai dumps them."""

from __future__ import annotations

from paceline.contrib.chat_forms.conversation import Conversation

PIXEL = "data:image/png;base64,iVBORw0KGgo="
TOOL = {
    "name": "look",
    "description": "Looks somewhere.",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
}
SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "What is this?"}
SEES = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image", "image": PIXEL}]}
CALLS = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {"id": "a", "function": "look", "arguments": {"at": "sky"}},
        {"id": "b", "function": "look", "arguments": {"at": "sea"}},
    ],
}
RESULTS = (
    {"role": "tool", "tool_call_id": "a", "function": "look", "content": "blue"},
    {"role": "tool", "tool_call_id": "b", "function": "look", "content": "", "error": {"type": "timeout", "message": "dark"}},
)  # fmt: skip


def conversation(*messages, tool_choice="auto", tools=(), **settings):
    return Conversation(messages=messages, settings=settings, tools=tools, tool_choice=tool_choice)
