"""PacelineAPI: inspect_ai's models by paceline's strategies, through one pool for all of them.

Rules owned here:

1. inspect's own bound on connections is lifted unless the user sets one, and nothing is repeated by inspect: the pool paces and repeats.
2. What a model answers is an output, also if it was cut off or held back; what failed for good is raised as a `CallError`.
3. A prompt that is longer than the model's context, or that a filter refuses, is an output without an answer, as inspect expects.
"""

# pyright: reportMissingImports=false, reportMissingModuleSource=false
from __future__ import annotations

import logging
from functools import partial
from typing import Any, ClassVar

from ..._core.config import ProcessorConfig
from ..._core.exceptions import CallError, ConfigurationError, MissingExtraError
from ..._core.fault import Fault, FaultKind, FaultReason
from ..._core.results import WorkItemResult
from ..._core.usage import TokenUsage
from ..chat_forms import gemini
from ..chat_forms.conversation import Conversation, Message
from ..models import EvaluatedModel
from ..pool_thread import PoolThread
from .media import with_files_inline

try:
    from inspect_ai._util.error import PrerequisiteError  # its own providers raise it too
    from inspect_ai.model import (
        ChatCompletionChoice,
        ChatMessage,
        ChatMessageAssistant,
        GenerateConfig,
        ModelAPI,
        ModelCall,
        ModelOutput,
        ModelUsage,
        RetryDecision,
        StopDetails,
    )
    from inspect_ai.tool import ToolChoice, ToolInfo
    from rich.markup import escape
except ImportError as _error:
    raise MissingExtraError("paceline.contrib.inspect", "inspect") from _error

logger = logging.getLogger(__name__)

_CONNECTIONS = ProcessorConfig().max_workers
"""Samples that may wait for an answer at once: as many as the pool would ever have in flight."""
_OF_INSPECT = {  # settings that inspect itself, or the pool, sees to
    "adaptive_connections", "attempt_timeout", "batch", "cache", "cache_prompt", "fail_on_refusal", "internal_tools",
    "max_connections", "max_retries", "max_tool_output", "reasoning_history", "stream_idle_timeout", "system_message", "timeout",
}  # fmt: skip
_HOMES = {"gemini": "google"}
"""Names of providers in inspect's database of models, where they differ."""
_CHARACTERS_A_TOKEN = 4  # in English text, about; inspect's own count downloads a table


class PacelineAPI(ModelAPI):
    """Provider `paceline` of inspect_ai.

    Args:
        model_name: Model string of `paceline.model`; of a simulated model with semicolons for commas.
        base_url: URL of a compatible server.
        api_key: API key; by default that of the environment.
        config: Settings for all calls.
        model_args: Further arguments of `paceline.model`.

    Raises:
        PrerequisiteError: Where `paceline.model` raises a ConfigurationError: inspect prints its sentence without a traceback.
    """

    _threads: ClassVar[PoolThread] = PoolThread()
    _users: ClassVar[set[int]] = set()

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        **model_args: Any,
    ) -> None:
        settings = GenerateConfig() if config is None else config
        super().__init__(model_name, base_url, api_key, [], settings)
        try:
            self._model = EvaluatedModel(model_name, base_url=base_url, api_key=api_key, **model_args)
        except ConfigurationError as error:
            raise PrerequisiteError(escape(str(error))) from error
        self._warned: set[str] = set()
        if settings.max_connections is None and settings.adaptive_connections is None and not settings.batch:
            settings.max_connections = _CONNECTIONS
        self._users.add(id(self))

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002 - the name in inspect's interface
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> tuple[ModelOutput, ModelCall]:
        """Answer a conversation.

        Raises:
            CallError: The provider refused the request, or failed more often than the retry policy allows; its `kind` says which.
            ConfigurationError: A setting is wrong, or asks for the batch mode.
            Busy: The key was denied or the quota is exhausted, and no call is made for a while.
        """
        if config.batch:
            raise ConfigurationError("paceline/ models have no batch mode: remove --batch")
        conversation = await self._conversation(input, tools, tool_choice, config)
        messages = await _openai_messages(input) if self._model.provider == "openai" else None
        request, ignored = self._model.request(conversation, messages)
        self._warn_of(ignored)
        result = await self._threads.call(self._model.strategy, request, timeout=config.timeout)
        output = await self._output(result) if result.error is None else self._failed(result.error, result.usage)
        output.usage = _usage_of(result, output.usage)
        reply = result.output if isinstance(result.output, dict) else {"text": result.output}
        return output, ModelCall.create(request=dict(request.body), response=reply)

    async def _conversation(
        self, messages: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> Conversation:
        plain: list[Message] = [message.model_dump(exclude_none=True) for message in messages]
        if self._model.dialect != "openai":
            plain = [await with_files_inline(message) for message in plain]
        settings = {
            name: value for name, value in config.model_dump(exclude_none=True).items() if name not in _OF_INSPECT
        }
        return Conversation(
            messages=plain,
            settings=settings,
            tools=[tool.model_dump(exclude_none=True, exclude={"options"}) for tool in tools],
            tool_choice=tool_choice if isinstance(tool_choice, str) else [tool_choice.name],
        )

    def _warn_of(self, ignored: tuple[str, ...]) -> None:
        if new := [name for name in ignored if name not in self._warned]:
            self._warned.update(new)
            logger.warning("%s has no %s: left out", self.model_name, ", ".join(new))

    async def _output(self, result: WorkItemResult[Any]) -> ModelOutput:
        reply, name = result.output, result.model or self._model.name
        if not isinstance(reply, dict):
            return ModelOutput.from_content(name, str(reply))
        match self._model.dialect:
            case "gemini":
                choices = [_gemini_choice(choice, name) for choice in gemini.choices_of(reply)]
                return ModelOutput(
                    model=reply.get("modelVersion") or name,
                    choices=choices,
                    usage=ModelUsage(reasoning_tokens=(reply.get("usageMetadata") or {}).get("thoughtsTokenCount")),
                    response_id=reply.get("responseId"),
                )
            case "anthropic":
                return await _anthropic_output(reply)
            case _:
                return await _openai_output(reply, name)

    def _failed(self, fault: Fault, usage: TokenUsage) -> ModelOutput:
        """Return the output of a prompt that was not answered as it is too long or not allowed; raise any other fault."""
        if fault.reason is FaultReason.TOO_LARGE:
            return ModelOutput.from_content(self._model.name, fault.message, stop_reason="model_length")
        if fault.kind is FaultKind.REFUSED:
            return ModelOutput.from_content(
                self._model.name,
                fault.answer or "",
                stop_reason="content_filter",
                stop_details=StopDetails(explanation=fault.message),
            )
        raise CallError(f"{self.model_name}: {fault}", kind=fault.kind, reason=fault.reason, usage=usage)

    def max_connections(self) -> int:
        """Return how many samples may wait for an answer at once, where inspect's adaptive bound is off."""
        return _CONNECTIONS

    def connection_key(self) -> str:
        """Return what inspect's bound on connections holds for: the model, with this key."""
        return f"{self.initial_api_key}:{self.model_name}"

    def should_retry(self, ex: Exception) -> RetryDecision:  # noqa: ARG002
        """Return that nothing is repeated: the pool has done it."""
        return RetryDecision.no()

    def is_auth_failure(self, ex: Exception) -> bool:
        """Return whether the key was denied."""
        return isinstance(ex, CallError) and ex.kind is FaultKind.DENIED

    def canonical_name(self) -> str:
        """Return the name of the model in inspect's database, such as `google/gemini-2.5-flash`."""
        return f"{_HOMES.get(self._model.provider, self._model.provider)}/{self._model.name}"

    async def count_text_tokens(self, text: str) -> int:
        """Return an estimate, from the length: inspect's own count needs a download."""
        return max(1, round(len(text) / _CHARACTERS_A_TOKEN))

    async def aclose(self) -> None:
        """Close the pool when the last model is closed. Models that are not closed keep it until the program ends."""
        self._users.discard(id(self))
        if not self._users:
            import anyio.to_thread  # noqa: PLC0415 - rarely used

            await anyio.to_thread.run_sync(partial(self._threads.close))


def _usage_of(result: WorkItemResult[Any], reported: ModelUsage | None) -> ModelUsage:
    """Return the tokens over all attempts as inspect counts them: those of the input without those of the cache."""
    usage: TokenUsage = result.usage
    return ModelUsage(
        input_tokens=max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_written_tokens),
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        input_tokens_cache_read=usage.cached_input_tokens or None,
        input_tokens_cache_write=usage.cache_written_tokens or None,
        reasoning_tokens=None if reported is None else reported.reasoning_tokens,
        total_cost=result.cost,
    )


def _gemini_choice(choice: gemini.Choice, model: str) -> ChatCompletionChoice:
    message = ChatMessageAssistant.model_validate(
        {"content": choice.content, "tool_calls": choice.tool_calls or None, "model": model, "source": "generate"}
    )
    details = None if choice.explanation is None else StopDetails(explanation=choice.explanation)
    return ChatCompletionChoice.model_validate(
        {"message": message, "stop_reason": choice.stop_reason, "stop_details": details}
    )


async def _openai_messages(messages: list[ChatMessage]) -> list[Message]:
    from inspect_ai.model import messages_to_openai  # noqa: PLC0415 - needs the openai package

    return [dict(message) for message in await messages_to_openai(messages)]


async def _openai_output(reply: dict[str, Any], name: str) -> ModelOutput:
    from inspect_ai.model import model_output_from_openai  # noqa: PLC0415 - as above
    from openai.types.chat import ChatCompletion  # noqa: PLC0415

    # Not validated, as by the package itself: compatible servers leave fields out, and have finish reasons of their own.
    return await model_output_from_openai(ChatCompletion.construct(**{"model": name, **reply}))


async def _anthropic_output(reply: dict[str, Any]) -> ModelOutput:
    from anthropic.types import Message as Reply  # noqa: PLC0415 - an extra
    from inspect_ai.model import model_output_from_anthropic  # noqa: PLC0415 - needs the anthropic package

    return await model_output_from_anthropic(Reply.construct(**reply))
