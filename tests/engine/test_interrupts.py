"""Ctrl-C: a real SIGINT leaves every entrance as KeyboardInterrupt, and every answer that was paid is in the journal."""

from __future__ import annotations

import signal
from typing import Any

import anyio
import pytest

from paceline import LLMCallStrategy, TokenUsage, open_pool, open_stream, process_prompts, run_prompts
from paceline.journal import JournalReader

BACKENDS = {
    "trio": {"backend": "trio"},
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
}
BEFORE = 20
PROMPTS = [str(number) for number in range(60)]


class Interrupted(LLMCallStrategy[str]):
    """Answers some prompts; the next one is interrupted by the user, and the rest takes long."""

    def __init__(self, *, at: int = BEFORE) -> None:
        self.at = at
        self.answered: list[str] = []

    @property
    def quota(self) -> str:
        return "interrupted"

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        if int(prompt) == self.at:
            while len(self.answered) < self.at:
                await anyio.sleep(0.001)
            signal.raise_signal(signal.SIGINT)
        if int(prompt) >= self.at:
            await anyio.sleep(60)
        self.answered.append(prompt)
        return prompt, TokenUsage(1, 1)


async def in_process_prompts(strategy: Interrupted, journal: Any) -> None:
    await process_prompts(strategy, PROMPTS, journal=journal)


async def in_a_stream(strategy: Interrupted, journal: Any) -> None:
    async with open_stream(strategy, PROMPTS, journal=journal) as results:
        async for _ in results:
            pass


async def in_the_body_of_a_stream(strategy: Interrupted, journal: Any) -> None:
    strategy.at = 1_000
    async with open_stream(strategy, PROMPTS, journal=journal) as results:
        async for result in results:
            if result.index == BEFORE:
                signal.raise_signal(signal.SIGINT)
                await anyio.sleep(60)


async def in_a_call(strategy: Interrupted, journal: Any) -> None:
    async with open_pool(journal=journal) as pool:
        for prompt in PROMPTS[: BEFORE + 1]:
            await pool.call(strategy, prompt)


async def in_a_pool(strategy: Interrupted, journal: Any) -> None:
    async with open_pool(journal=journal) as pool:
        await pool.process_prompts(strategy, PROMPTS)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "entrance",
    [in_process_prompts, in_a_stream, in_the_body_of_a_stream, in_a_call, in_a_pool],
    ids=lambda act: act.__name__,
)
def test_ctrl_c_leaves_as_keyboard_interrupt_and_loses_no_answer(tmp_path, entrance, backend):
    strategy = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        anyio.run(entrance, strategy, tmp_path / "j.db", **BACKENDS[backend])
    check(strategy, tmp_path / "j.db")


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_ctrl_c_leaves_run_prompts_as_keyboard_interrupt_and_loses_no_answer(tmp_path, backend):
    strategy = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        run_prompts(strategy, PROMPTS, journal=tmp_path / "j.db", backend=backend)
    check(strategy, tmp_path / "j.db")


def check(strategy: Interrupted, journal: Any) -> None:
    """Assert that the journal has the answers, and nothing else."""
    assert len(strategy.answered) >= BEFORE
    with JournalReader(journal) as reader:
        kinds = [result.kind for result in reader.results()]
    assert kinds == [None] * len(strategy.answered)
