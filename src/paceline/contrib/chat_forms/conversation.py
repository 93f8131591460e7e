"""Conversation: messages, tools and settings of one request, and what the reply to it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from ..._core.exceptions import CallError
from ..._core.fault import FaultKind

Message: TypeAlias = Mapping[str, Any]
"""Message as plain data; see the package."""


@attrs.frozen(kw_only=True)
class Conversation:
    """What one request asks."""

    messages: Sequence[Message]
    """Messages, at least one of which is not of the system."""
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    """Settings by inspect_ai's names; None stands for a setting that is not given."""
    tools: Sequence[Mapping[str, Any]] = ()
    """Tools that the model may call."""
    tool_choice: str | list[str] = "auto"
    """`auto`, `any`, `none`, or a list with the name of the tool that must be called."""

    @property
    def system(self) -> str:
        """The texts of all system messages, with blank lines between them."""
        return "\n\n".join(text_of(message) for message in self.messages if message["role"] == "system")

    @property
    def turns(self) -> Iterator[Message]:
        """The messages except those of the system."""
        return (message for message in self.messages if message["role"] != "system")

    def given(self) -> dict[str, Any]:
        """Return the settings that are given."""
        return {name: value for name, value in self.settings.items() if value is not None}


@attrs.frozen(kw_only=True)
class Body:
    """A request in a provider's form."""

    body: dict[str, Any]
    """Body of the request."""
    ignored: tuple[str, ...] = ()
    """Settings that the provider does not have: they are not in the body."""


def merged_turns(
    conversation: Conversation, model: str, content: str, write: Callable[[Message], Iterable[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Return the turns; neighbours of one role are one turn, as results of tools belong to one turn of the user.

    Args:
        conversation: The messages.
        model: The role of the model's turns.
        content: The field with the contents of a turn.
        write: Writes the contents of a message.
    """
    turns: list[dict[str, Any]] = []
    for message in conversation.turns:
        role = model if message["role"] == "assistant" else "user"
        written = list(write(message))
        if turns and turns[-1]["role"] == role:
            turns[-1][content] += written
        elif written:
            turns.append({"role": role, content: written})
    return turns


def parts_of(message: Message) -> list[Mapping[str, Any]]:
    """Return the contents of a message; a text is one content, and an empty one none."""
    content = message.get("content") or []
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def text_of(message: Message) -> str:
    """Return the texts of a message, with line breaks between them."""
    return "\n".join(part["text"] for part in parts_of(message) if part["type"] == "text")


def tool_result(message: Message) -> str:
    """Return the result of a tool as a text; an error begins with the word."""
    error = message.get("error")
    return f"Error: {error['message']}" if error else text_of(message)


def media_of(part: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the MIME type and the base64 data of a content that is a data URL; None if it is another URL."""
    kind, comma, data = part[part["type"]].partition(",")
    if not comma or not kind.startswith("data:"):
        return None
    return kind.removeprefix("data:").partition(";")[0], data


def refusal(provider: str, part: Mapping[str, Any]) -> CallError:
    """Return the fault of a content that a provider cannot receive."""
    return CallError(
        f"{provider}: a message holds a content of the type {part['type']}, which cannot be sent; leave it out of the task",
        kind=FaultKind.REJECTED,
    )
