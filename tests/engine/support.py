"""Strategies and helpers for the engine's tests."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Any

import anyio

from paceline import LLMCallStrategy, LLMWorkItem, ParallelBatchProcessor, TokenUsage
from paceline._core.pace import PaceStatistics, Served, Throttled

USAGE = TokenUsage(10, 5)


class Echo(LLMCallStrategy[str]):
    """Answers in upper case after `seconds`, and counts its calls on a board that all copies share."""

    def __init__(self, seconds: float = 1.0, quota: str = "echo") -> None:
        self.seconds = seconds
        self.lane = quota
        self.board = Board()

    @property
    def quota(self) -> str:
        return self.lane

    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, TokenUsage]:
        with self.board.call(prompt):
            await anyio.sleep(self.seconds)
            return prompt.upper(), USAGE


class Scripted(Echo):
    """For each call of a prompt, raises, awaits or returns the next entry of the prompt's script; afterwards it answers."""

    def __init__(self, scripts: dict[str, list[Any]], seconds: float = 1.0, quota: str = "scripted") -> None:
        super().__init__(seconds, quota)
        self.scripts = {prompt: list(script) for prompt, script in scripts.items()}

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        self.board.attempts[prompt].append(attempt)
        with self.board.call(prompt):
            await anyio.sleep(self.seconds)
            script = self.scripts.get(prompt)
            entry = script.pop(0) if script else None
            if isinstance(entry, BaseException):
                raise entry
            if callable(entry):
                return await entry()
            return prompt.upper() if entry is None else entry, USAGE


class Board:
    """The calls as the provider sees them."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.attempts: defaultdict[str, list[int]] = defaultdict(list)
        self.starts: list[tuple[float, str]] = []
        self.in_flight = 0
        self.max_in_flight = 0

    def call(self, prompt: str) -> Board:
        self.calls[prompt] += 1
        self.starts.append((anyio.current_time(), prompt))
        return self

    def __enter__(self) -> None:
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def __exit__(self, *_: object) -> None:
        self.in_flight -= 1


class FixedPace:
    """Always allows `limit` calls in flight, none before the time `gate`."""

    rate = token_rate = math.inf
    history = ()

    def __init__(self, limit: int, gate: float = 0.0) -> None:
        self.limit, self.gate = limit, gate
        self.in_flight = 0
        self.signals: list[Any] = []

    def admit_at(self, now: float, cost: float) -> float:
        return math.inf if self.in_flight >= self.limit else max(now, self.gate)

    def started(self, now: float, cost: float) -> Any:
        self.in_flight += 1
        return len(self.signals)

    def settled(self, ticket: Any, now: float, signal: Any) -> None:
        self.in_flight -= 1
        self.signals.append(signal)

    def statistics(self) -> PaceStatistics:
        return PaceStatistics(
            limit=self.limit,
            rate=self.rate,
            token_rate=self.token_rate,
            in_flight=self.in_flight,
            served=sum(isinstance(signal, Served) for signal in self.signals),
            throttled=sum(isinstance(signal, Throttled) for signal in self.signals),
            gate=self.gate,
        )

    def knowledge(self, now: float) -> Any:
        return None


async def add_all(processor: ParallelBatchProcessor[Any], strategy: LLMCallStrategy[Any], prompts: list[str]) -> None:
    for prompt in prompts:
        await processor.add_work(LLMWorkItem(item_id=prompt, strategy=strategy, prompt=prompt))


class Status(Exception):  # noqa: N818 - stands for any client's error
    """An exception with an HTTP status, as clients raise it."""

    def __init__(self, code: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"status {code}")
        self.status_code = code
        self.headers = headers or {}
