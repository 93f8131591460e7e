"""PacelineLM: lm_eval's model `paceline`. Importing this module registers it."""

# pyright: reportMissingImports=false, reportMissingModuleSource=false
from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..._core.exceptions import ConfigurationError, MissingExtraError
from ..._core.fault import FaultKind
from ..._core.quantity import quantity
from ..._core.request import Request
from ..._core.results import WorkItemResult
from ...exceptions import CallError
from ...files.types import InputRecord
from ...prompts import open_stream, run_blocking
from ..models import EvaluatedModel
from .requests import answer_of, conversation_of, ids_of, stops_of, template

try:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
    from tqdm import tqdm
except ImportError as _error:
    raise MissingExtraError("paceline.contrib.lm_eval", "lm-eval") from _error

logger = logging.getLogger(__name__)

_NO_LIKELIHOOD = (
    "{name}: chat APIs do not report how likely a given text is, so that tasks with loglikelihood, such as most of multiple choice, cannot "
    "run; choose a task whose output_type is generate_until"
)


@register_model("paceline")
class PacelineLM(LM):
    """A model that is called through paceline.

    Args:
        model: Model string of `paceline.model`; of a simulated model with semicolons for commas.
        base_url: URL of a compatible server.
        api_key: API key; by default that of the environment.
        max_gen_toks: Bound on the tokens of an answer for tasks that have none.
        journal: Path of a journal file: a run that is started again with it repeats no call that was answered.
        think_end_token: Text after which the answer begins, if the server leaves what the model thought in it.
        batch_size: Not used, as the next two: lm_eval gives them to every model.
        max_batch_size: As above.
        device: As above.
        options: Further arguments of `paceline.model`.

    Raises:
        ConfigurationError: As for `paceline.model`.
    """

    def __init__(  # noqa: PLR0913 - lm_eval's form: each is a name in --model_args
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        max_gen_toks: int = 256,
        journal: str | None = None,
        think_end_token: str | None = None,
        batch_size: object = None,  # noqa: ARG002
        max_batch_size: object = None,  # noqa: ARG002
        device: object = None,  # noqa: ARG002
        **options: Any,
    ) -> None:
        super().__init__()
        self._model = EvaluatedModel(model, base_url=base_url, api_key=api_key, **options)
        self._bound = max_gen_toks
        self._journal = journal
        self._think_end_token = think_end_token

    @property
    def tokenizer_name(self) -> str:
        """Name under which lm_eval keeps requests."""
        return f"paceline-{self._model.provider}-{self._model.name}"

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:  # noqa: ARG002, FBT001, FBT002
        """Return a list of messages as a context that `generate_until` sends as these messages."""
        return template(chat_history)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:  # noqa: FBT001, FBT002
        """Return the answer of each request, in their order.

        Raises:
            CallError: Requests failed; the message has the most frequent reason. With a journal the others need not be answered again.
            ConfigurationError: An argument of a task cannot be sent.
        """
        asked = [request.args for request in requests]
        bodies = [self._request(context, arguments) for context, arguments in asked]
        results = run_blocking(partial(self._answer, bodies, quiet=disable_tqdm))
        _require_answers(results, has_journal=self._journal is not None)
        answers = []
        for (context, arguments), result in zip(asked, results, strict=True):
            text = self._model.text_of(result.output) if result.success else ""
            answers.append(answer_of(text, stops_of(arguments), think_end_token=self._think_end_token))
            self.cache_hook.add_partial("generate_until", (context, arguments), answers[-1])
        return answers

    def _request(self, context: str, arguments: dict[str, Any]) -> Request:
        conversation = conversation_of(context, arguments, bound=self._bound, model=self._model.name)
        request, ignored = self._model.request(conversation)
        if ignored:
            raise ConfigurationError(
                f"generation_kwargs: {self._model.provider} has no {', '.join(ignored)}; leave it out of the task"
            )
        return request

    async def _answer(self, requests: list[Request], *, quiet: bool) -> list[WorkItemResult[Any]]:
        """Make the calls of all requests; return their results in order."""
        records = [
            InputRecord(number, name, body)
            for number, (name, body) in enumerate(zip(ids_of(requests), requests, strict=True), 1)
        ]
        results: dict[int, WorkItemResult[Any]] = {}
        options: dict[str, Any] = {} if self._journal is None else {"journal": self._journal}
        with tqdm(total=len(records), desc="Requesting API", disable=quiet) as bar:
            async with open_stream(self._model.strategy, records, **options) as stream:
                async for result in stream:
                    results[result.index] = result
                    bar.update()
        return [results[index] for index in range(len(records))]

    def loglikelihood(self, requests: list[Instance], **_: Any) -> list[tuple[float, bool]]:
        """Raise NotImplementedError: chat APIs report no likelihood of a given text."""
        raise NotImplementedError(_NO_LIKELIHOOD.format(name=self._model.name))

    def loglikelihood_rolling(self, requests: list[Instance], **_: Any) -> list[float]:
        """Raise NotImplementedError: see `loglikelihood`."""
        raise NotImplementedError(_NO_LIKELIHOOD.format(name=self._model.name))


def _require_answers(results: Sequence[WorkItemResult[Any]], *, has_journal: bool) -> None:
    """Raise unless each request was answered; one that the model or its filter refused counts as an empty answer.

    Raises:
        CallError: Requests failed.
    """
    failed = [result for result in results if result.error is not None and result.error.kind is not FaultKind.REFUSED]
    if refused := sum(result.error is not None for result in results) - len(failed):
        logger.warning("%s refused: the answer is empty", quantity(refused, "request"))
    if not failed:
        return
    first = next((result.error for result in failed if result.error.kind is not FaultKind.PENDING), failed[0].error)
    advice = (
        "run it again with the same journal, which has the others"
        if has_journal
        else "with the model_arg journal=FILE the others need not be answered again"
    )
    raise CallError(
        f"{len(failed):,} of {quantity(len(results), 'request')} failed: {first}; {advice}", kind=first.kind
    )
