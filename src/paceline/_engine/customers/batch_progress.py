"""Progress of one batch: hands its figures to whoever started it.

Rules owned here:

1. There is a snapshot when the batch starts, one a period, and one when it has its result, before it is returned. The last one alone
   `is_finished`.
2. A callback that raises is logged once, is not called again, and has no effect on the batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from anyio import Event, current_time, move_on_after

from ..._core.provider_answers.classify import describe
from ..lanes.statistics import ProcessorStatistics
from ..loop.foreign import logger
from ..progress import ProgressHook, ProgressMeter


class BatchProgress:
    """Hands over the figures of one batch.

    Args:
        hook: Receives them.
        total: Items of the batch; None: its source has no length.
        statistics: Returns the figures of the batch.
        is_stopping: Returns whether no more of its calls start.
    """

    def __init__(
        self,
        hook: ProgressHook,
        total: int | None,
        statistics: Callable[[], ProcessorStatistics],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._hook = hook
        self._meter = ProgressMeter(total)
        self._statistics, self._is_stopping = statistics, is_stopping
        self._has_failed = False

    async def run(self, ended: Event) -> None:
        """Hand over the figures until the batch has ended."""
        while not ended.is_set() and not self._has_failed:
            self._report(is_finished=False)
            with move_on_after(self._hook.period):
                await ended.wait()

    def finish(self) -> None:
        """Hand over the last figures: the batch has its result."""
        if not self._has_failed:
            self._report(is_finished=True)

    def _report(self, *, is_finished: bool) -> None:
        progress = self._meter.read(
            current_time(),
            self._statistics(),
            is_stopping=self._is_stopping(),
            is_finished=is_finished,
            wall_time=time.time(),
        )
        try:
            self._hook.report(progress)
        except Exception as error:  # noqa: BLE001 - rule 2
            self._has_failed = True
            logger.warning("the callback of the progress raised, and is not called any more: %s", describe(error))
