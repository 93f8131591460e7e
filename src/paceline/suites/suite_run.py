"""Suite run: makes the calls of a suite's samples, has their answers scored, and writes the transcript.

Rules owned here:

1. Each sample is a call of its own: equal prompts never share an answer.
2. A wrong answer scores 0: one that is invalid, cut off at the limit of tokens, or a refusal. A sample that the provider did not answer
   has no score, and the result says how many there are.
3. The answer, and what a grader said of it, is in the transcript with its score.
"""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any

import attrs
from anyio import CancelScope, CapacityLimiter, create_task_group, current_time, to_thread
from anyio.abc import TaskGroup

from .._core.exceptions import BudgetError, Busy, ConfigurationError
from .._core.fault import Fault, FaultKind, FaultReason
from .._core.prompt import Prompt, parts_of
from .._core.request import Request
from .._core.results import WorkItemResult
from ..abc import LLMCallStrategy, LLMWorkItem
from ..journal.aggregates import JournalAggregates
from ..llm_strategies.feedback import ValidationFeedback
from ..pool import Pool
from .graded import ModelGraded
from .results import JOURNAL, SUMMARY, TRANSCRIPT, WRONG, SuiteResult, Tally, models_of
from .scorers import text_of
from .scoring import Scored, ScoringThread, as_score, scored_by
from .suite import Question, Score, Suite

_MOST_SCORED = 200  # answers that are scored at once by scorers that wait, and for which a stream is held up
_FLUSH = 200  # rows of the transcript that are written together
_PENDING = str(FaultKind.PENDING)


@attrs.frozen
class _Asked:
    """A sample whose answer is awaited."""

    item: int
    question: Question
    sample: int
    prompt: Prompt


class SuiteRun:
    """One run of a suite."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a run needs
        self,
        suite: Suite,
        strategy_of: Callable[[int], LLMCallStrategy[Any]],
        samples: int,
        limit: int | None,
        pool: Pool,
        folder: Path | None,
    ) -> None:
        self._suite, self._samples, self._pool, self._folder = suite, samples, pool, folder
        self._strategies = [strategy_of(sample) for sample in range(samples)]
        self._questions = islice(suite, limit)
        self._asked: dict[str, _Asked] = {}
        self._tally = Tally(samples)
        self._rows: list[str] = []
        self._file: IO[str] | None = None
        self._writing = threading.Lock()
        self.scope: CancelScope = CancelScope()
        """Cancelling it cancels the calls in flight."""
        self._scoring = CapacityLimiter(_MOST_SCORED)
        self._thread = ScoringThread(self._score_now, self._note_scored, self._write_rows)
        self._seconds = 0.0
        self._answers = 0
        self._refusals = 0
        self._stopped: Fault | None = None

    async def execute(self) -> None:
        """Ask all questions, and score the answers."""
        started = current_time()
        try:
            results = None
            with self.scope:
                async with create_task_group() as nursery, self._pool.stream_items(self._items()) as results:
                    async for result in results:
                        await self._take([result, *results.take_ready()], nursery)
            for _ in self._questions:  # those that were not reached, as the pool was drained
                self._tally.add_item()
            self._lose(_PENDING, self._samples * self._tally.items - self._tally.samples)
            await to_thread.run_sync(self._write, self._taken_rows())
        finally:
            self._thread.close()
            if self._file is not None:
                self._file.close()
        self._seconds = current_time() - started
        self._refusals = self._pool.statistics().rate_limit_count
        if results is not None:
            self._answers = max(0, results.batch.succeeded - results.batch.recalled)
            self._stopped = self._stopped or results.batch.stopped

    def _items(self) -> Iterator[LLMWorkItem[Any]]:
        for question in self._questions:
            number, prompt = self._tally.add_item(), self._suite.ask(question)
            for sample, strategy in enumerate(self._strategies):
                name = question.id if self._samples == 1 else f"{question.id}#{sample + 1}"
                self._asked[name] = _Asked(number, question, sample, prompt)
                yield LLMWorkItem(name, strategy, prompt)

    async def _take(self, results: Sequence[WorkItemResult[Any]], nursery: TaskGroup) -> None:
        """Score results, or begin to."""
        scorer = self._suite.score
        if isinstance(scorer, ModelGraded) or _is_awaited(scorer):
            for result in results:
                await self._scoring.acquire_on_behalf_of(result)
                nursery.start_soon(self._score_later, result)
        else:
            await self._thread.score_all(results)

    async def _score_later(self, result: WorkItemResult[Any]) -> None:
        try:
            asked = self._asked.pop(result.item_id)
            score, problem = await self._awaited_score(asked.question, result)
            self._note(asked, result, score, problem)
            if len(self._rows) >= _FLUSH:
                await to_thread.run_sync(self._write, self._taken_rows())
        finally:
            self._scoring.release_on_behalf_of(result)

    async def _awaited_score(self, question: Question, result: WorkItemResult[Any]) -> Scored:
        scorer: Any = self._suite.score
        given = _without_scorer(result)
        if given is not None or result.error is not None:
            return given, None
        try:
            if isinstance(scorer, ModelGraded):
                return await scorer.grade(question, result.output, partial(self._grader, result.item_id)), None
            return as_score(await scorer(question, result.output)), None
        except ConfigurationError:  # nothing can be scored
            raise
        except Exception as error:  # noqa: BLE001 - a defect of one score ends no suite
            return None, error

    async def _grader(
        self, item_id: str, strategy: LLMCallStrategy[Any], prompt: str, name: str
    ) -> WorkItemResult[Any]:
        result = await self._pool.call(strategy, prompt, item_id=f"{item_id}/{name}", priority=0)
        self._count(result)
        return result

    def _score_now(self, result: WorkItemResult[Any]) -> Scored:
        given = _without_scorer(result)
        if given is not None or result.error is not None:
            return given, None
        return scored_by(self._suite.score, self._asked[result.item_id].question, result.output)

    def _note_scored(self, result: WorkItemResult[Any], scored: Scored) -> None:
        self._note(self._asked.pop(result.item_id), result, *scored)

    def _write_rows(self) -> None:
        self._write(self._taken_rows())

    def _note(self, asked: _Asked, result: WorkItemResult[Any], score: Score | None, problem: Exception | None) -> None:
        """Count a sample, and keep its row."""
        self._count(result)
        if score is not None:
            self._tally.score(asked.item, score.value)
        elif isinstance(problem, BudgetError | Busy):  # the grader was not asked
            reason = FaultReason.BUDGET if isinstance(problem, BudgetError) else None
            self._stopped = self._stopped or Fault(FaultKind.PENDING, str(problem), reason=reason)
            self._lose(_PENDING, 1)
        elif problem is not None:
            self._tally.unscored += 1
        elif result.error is not None:
            self._lose(str(result.error.kind), 1)
        if self._folder is None:
            return
        error = result.error
        row = {
            "item": asked.question.id,
            "sample": asked.sample,
            "score": None if score is None else score.value,
            "explanation": f"{type(problem).__name__}: {problem}"
            if problem is not None
            else score and score.explanation,
            "target": asked.question.target,
            "prompt": _prompt_text(asked.prompt),
            "output": result.output,
            "error": None
            if error is None
            else {"kind": str(error.kind), "message": error.message, "answer": error.answer},
            "grader": score and score.details,
            "model": result.model,
            "input_tokens": result.usage.input_tokens,
            "output_tokens": result.usage.output_tokens,
            "cost": result.cost,
            "seconds": result.seconds,
        }
        self._rows.append(json.dumps(row, ensure_ascii=False, default=text_of))

    def _count(self, result: WorkItemResult[Any]) -> None:
        tally = self._tally
        tally.input_tokens += result.usage.input_tokens
        tally.output_tokens += result.usage.output_tokens
        if result.cost is not None:
            tally.cost += result.cost
        elif result.attempts:
            tally.has_unknown_cost = True

    def _lose(self, kind: str, samples: int) -> None:
        for _ in range(samples):
            self._tally.lose(kind)

    def _taken_rows(self) -> list[str]:
        """Take the rows that are not written yet; in the thread that adds them, or one could come between."""
        rows, self._rows = self._rows, []
        return rows

    def _write(self, rows: list[str]) -> None:
        if self._folder is None:
            return
        with self._writing:  # scorers that are awaited may write at the same time
            if self._file is None:
                self._file = _part(self._folder).open("w", encoding="utf-8", errors="backslashreplace")
            self._file.writelines(f"{row}\n" for row in rows)

    def finish(self) -> SuiteResult:
        """Sum up; put transcript and summary in place."""
        tally = self._tally
        mean, interval = tally.accuracy()
        first = self._strategies[0]
        ladder = [first] if first.ladder is None else first.ladder.steps
        cost = None if tally.has_unknown_cost else tally.cost
        spent = (tally.input_tokens, tally.output_tokens, cost, self._seconds)
        if self._folder is not None:
            spent = _spent(self._folder / JOURNAL)
        stopped = self._stopped
        result = SuiteResult(
            suite=self._suite.name,
            model=models_of([step.model or step.quota for step in ladder]),
            strategy=_described(first),
            items=tally.items,
            samples=self._samples,
            scored=tally.scored,
            unanswered=tally.unanswered,
            unscored=tally.unscored,
            accuracy=mean,
            interval=interval,
            pass_at=tally.pass_at(),
            input_tokens=spent[0],
            output_tokens=spent[1],
            cost=spent[2],
            seconds=self._seconds,
            total_seconds=spent[3],
            goodput=self._answers / self._seconds if self._seconds > 0 else 0.0,
            refusals=self._refusals,
            stopped=None if stopped is None else stopped.message,
            is_over_budget=stopped is not None and stopped.reason is FaultReason.BUDGET,
        )
        if self._folder is not None:
            _part(self._folder).replace(self._folder / TRANSCRIPT)
            summary = self._folder / f"{SUMMARY}.part"
            summary.write_text(f"{result.to_json()}\n", encoding="utf-8")
            summary.replace(self._folder / SUMMARY)
        return result


def _is_awaited(scorer: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(scorer) or inspect.iscoroutinefunction(type(scorer).__call__)


def _without_scorer(result: WorkItemResult[Any]) -> Score | None:
    """Return the score of an answer that is no output; None if it is one, or there is no answer."""
    error = result.error
    return Score(0, f"{error.kind}: {error.message}") if error is not None and error.kind in WRONG else None


def _described(strategy: LLMCallStrategy[Any]) -> str:
    kind = "model" if strategy.ladder is None else "ladder"
    return f"{kind} with feedback" if isinstance(strategy, ValidationFeedback) else kind


def _prompt_text(prompt: Prompt) -> str:
    """Return what a prompt says; of media their types."""
    if isinstance(prompt, Request):
        return prompt.text
    return "\n\n".join(part if isinstance(part, str) else f"[{part.mime_type}]" for part in parts_of(prompt))


def _part(folder: Path) -> Path:
    return folder / f"{TRANSCRIPT}.part"


def _spent(journal: Path) -> tuple[int, int, float | None, float]:
    """Return the tokens and the cost of all calls that a journal knows, and the seconds of its runs."""
    with JournalAggregates(journal) as reader:
        uses, runs, totals = reader.models(), reader.runs(), reader.run_totals()
    costs = [cost for _, cost in uses]
    cost = None if None in costs else sum(cost for cost in costs if cost is not None)
    seconds = [
        max(0.0, run.ended - run.began) if run.ended is not None else totals[run.run].last if run.run in totals else 0.0
        for run in runs
    ]
    tokens_in, tokens_out = (
        sum(use.usage.input_tokens for use, _ in uses),
        sum(use.usage.output_tokens for use, _ in uses),
    )
    return tokens_in, tokens_out, cost, sum(seconds)
