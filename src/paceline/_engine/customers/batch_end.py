"""Batch end: what a batch came to, in figures, and the exception to raise where it was started, if any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anyio import current_time

from ..._core.fault import Fault
from ..._core.health.exhausted_lane import exhausted_lanes_fault
from ..._core.provider_answers.classify import describe
from ..._core.quantity import quantity
from ..._core.results import BatchResult, SourceError, WorkItemResult
from ..loop.foreign import logger
from .batch import Batch


def result_of(batch: Batch, results: Sequence[WorkItemResult[Any]]) -> BatchResult[Any]:
    """Return the figures of a batch, with these results."""
    tally = batch.tally
    return BatchResult(
        results=tuple(results),
        succeeded=tally.succeeded,
        failures=dict(tally.failures),
        usage=tally.usage,
        models=tally.account.models,
        top_alone=tally.account.top_alone,
        seconds=current_time() - batch.started_at,
        refusals=tally.refusals,
        workers=tally.workers_range,
        most_in_flight=tally.max_workers,
        recalled=tally.recalled,
        messages=tally.item_faults.representative(),
        faults=tally.call_faults.most_frequent(),
        cut_off=tally.cut_off,
        systematic=tuple(tally.systematic),
        stopped=_stop_reason(batch),
    )


def log_end(result: BatchResult[Any]) -> None:
    """Log the figures of a batch, and the faults of its items."""
    logger.info(
        "batch ended after %.1f s: %d succeeded, %d failed, %d pending",
        result.seconds,
        result.succeeded,
        result.failed,
        result.pending,
    )
    for group in result.messages:
        logger.info("failed: %s", group)


def _stop_reason(batch: Batch) -> Fault | None:
    """Return why a batch left work undone; None: it did not."""
    return batch.stopped or exhausted_lanes_fault(batch.reasons)


def failure_of(batch: Batch, result: BatchResult[Any]) -> BaseException | None:
    """Return the exception to raise at the end: that which ended the batch, the journal's failure, or that of the source."""
    if batch.crash is not None:
        return batch.crash
    journal_failure = batch.commits.error(result) if batch.commits is not None else None
    return journal_failure or _source_failure(batch, result)


def _source_failure(batch: Batch, result: BatchResult[Any]) -> SourceError | None:
    error = batch.source_error
    if error is None:
        return None
    failure = SourceError(
        f"the source of work raised after {quantity(result.total_items, 'item')}: {describe(error)}", result
    )
    failure.__cause__ = error
    return failure
