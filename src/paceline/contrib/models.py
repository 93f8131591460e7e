"""Models of evaluation frameworks: the strategy for a model string, and the form of the requests that it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._core.request import Dialect, Request
from ..abc import LLMCallStrategy
from ..llm_strategies.registry import model, provider_of
from .chat_forms import anthropic, gemini, openai
from .chat_forms.conversation import Body, Conversation, Message

_DIALECTS: Mapping[str, Dialect] = {"gemini": "gemini", "anthropic": "anthropic"}
"""Forms of requests by the provider; those of all others are in OpenAI's form, of which they may take the text alone."""


class EvaluatedModel:
    """A model under evaluation.

    Args:
        text: Model string, as of `paceline.model`; of a simulated model semicolons may stand for the commas, at which frameworks split.
        options: Further arguments of `paceline.model`; those that are None are not given.

    Raises:
        ConfigurationError: As for `paceline.model`.
    """

    def __init__(self, text: str, **options: Any) -> None:
        self.provider: str = provider_of(text)
        if self.provider == "sim":
            text = text.replace(";", ",")
        given = {name: value for name, value in options.items() if value is not None}
        self.strategy: LLMCallStrategy[Any] = model(text, **given)
        self.dialect: Dialect = _DIALECTS.get(self.provider, "openai")

    @property
    def name(self) -> str:
        """Name of the model, without its provider."""
        return getattr(self.strategy, "model", None) or self.provider

    def request(
        self, conversation: Conversation, messages: list[Message] | None = None
    ) -> tuple[Request, tuple[str, ...]]:
        """Return a request, and the settings that are not in it as the provider does not have them.

        Args:
            conversation: What is asked.
            messages: Its messages in OpenAI's form, for a model that takes them; None: they are made here, of texts alone.

        Raises:
            CallError: A message holds what cannot be sent.
            ConfigurationError: Two settings contradict each other, or the model does not know the word of one.
            InvalidWorkItemError: There is no message besides those of the system.
        """
        body = self._body(conversation, messages)
        if self.provider == "sim":  # its answers do not depend on settings
            return Request(self.dialect, {"messages": body.body["messages"]}), ()
        return Request(self.dialect, body.body), body.ignored

    def _body(self, conversation: Conversation, messages: list[Message] | None) -> Body:
        if self.dialect == "gemini":
            return gemini.body_of(conversation, self.name)
        if self.dialect == "anthropic":
            return anthropic.body_of(conversation, self.name)
        is_own_service = self.provider == "openai" and self.strategy.identity.get("server") is None
        return openai.body_of(conversation, messages=messages, is_own_service=is_own_service)

    def text_of(self, output: object) -> str:
        """Return the text of an output, whatever the reason for which the model stopped."""
        if not isinstance(output, Mapping):
            return str(output)
        match self.dialect:
            case "gemini":
                return gemini.text_of_reply(output)
            case "anthropic":
                return anthropic.text_of_reply(output)
            case _:
                return openai.text_of_reply(output)
