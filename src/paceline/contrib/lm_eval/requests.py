"""Requests of lm_eval as conversations, and answers as it expects them.

Rules owned here:

1. A context is one message of the user, or, with `--apply_chat_template`, a list of messages as JSON.
2. Greedy decoding is a temperature of 0, as of lm_eval's own models of chat APIs; `do_sample` without a temperature leaves it to the
   provider.
3. A service takes only a few stop sequences, and some models none: the answer is cut at all of them here too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..._core.exceptions import ConfigurationError
from ..._core.request import Request
from ..chat_forms.conversation import Conversation, Message

_FEW = 4  # stop sequences that each service takes: OpenAI 4, Gemini 5, Anthropic more
_BOUNDS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_PASSED = ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort")
_OF_LM_EVAL = {"until", "do_sample", *_BOUNDS, *_PASSED}
_REASONS = re.compile(r"(?:o\d|gpt-5)")
"""Models of OpenAI that take neither a temperature nor stop sequences."""


def conversation_of(context: str, arguments: Mapping[str, Any], *, bound: int, model: str) -> Conversation:
    """Return what a request of lm_eval asks.

    Args:
        context: The context.
        arguments: Its `generation_kwargs`.
        bound: Bound on the tokens of an answer, unless the arguments have one.
        model: Name of the model.

    Raises:
        ConfigurationError: An argument is unknown, or has another type.
    """
    if unknown := sorted(arguments.keys() - _OF_LM_EVAL):
        raise ConfigurationError(
            f"generation_kwargs: {', '.join(unknown)} cannot be sent; known are {', '.join(sorted(_OF_LM_EVAL))}"
        )
    settings = {name: arguments[name] for name in _PASSED if arguments.get(name) is not None}
    if not arguments.get("do_sample"):
        settings["temperature"] = arguments.get("temperature") or 0
    settings["max_tokens"] = next((arguments[name] for name in _BOUNDS if arguments.get(name) is not None), bound)
    if stops := [stop for stop in stops_of(arguments) if stop.strip()][:_FEW]:  # Anthropic refuses white space
        settings["stop_seqs"] = stops
    if _REASONS.match(model):
        settings = {name: value for name, value in settings.items() if name not in {"temperature", "stop_seqs"}}
    return Conversation(messages=messages_of(context), settings=settings)


def stops_of(arguments: Mapping[str, Any]) -> list[str]:
    """Return the stop sequences of a request; empty ones are left out.

    Raises:
        ConfigurationError: `until` is neither a text nor a list of texts.
    """
    until = arguments.get("until") or []
    stops = [until] if isinstance(until, str) else until
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise ConfigurationError(f"generation_kwargs: until must be a text or a list of texts, not {until!r}")
    return [stop for stop in stops if stop]


def messages_of(context: str) -> list[Message]:
    """Return the messages of a context."""
    if context.startswith('[{"role": '):  # as `template` writes it
        try:
            history = json.loads(context)
        except ValueError:
            pass
        else:
            return list(history)
    return [{"role": "user", "content": context}]


def template(history: Sequence[Mapping[str, str]]) -> str:
    """Return a list of messages as a context."""
    return json.dumps([{"role": message["role"], "content": message["content"]} for message in history])


def answer_of(text: str, stops: Sequence[str], *, think_end_token: str | None = None) -> str:
    """Return an answer without what the model thought, cut at the first stop sequence.

    Args:
        text: Text of the reply.
        stops: Stop sequences.
        think_end_token: Text after which the answer begins, if the server leaves thoughts in it.
    """
    if think_end_token:
        text = text.rpartition(think_end_token)[2].lstrip()
    return min((text.partition(stop)[0] for stop in stops), key=len, default=text)


def ids_of(requests: Sequence[Request]) -> Iterator[str]:
    """Yield an id for each request, which depends on its content alone, so that a later run finds its answer in a journal."""
    seen: Counter[str] = Counter()
    for request in requests:
        body = json.dumps(request.body, sort_keys=True)
        key = hashlib.blake2b(body.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        seen[key] += 1
        yield f"{key}/{seen[key]}"
