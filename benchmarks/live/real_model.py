"""A suite of a real model: 50 questions to SmolLM2-135M, served on 127.0.0.1, by `OpenAIStrategy`.

    python -m benchmarks.live --install smollm2
    python -m benchmarks.live.real_model                 # some minutes
    python -m benchmarks.live.real_model --serve         # serve only: then `paceline suite run` with the address that it prints

Rules owned here:

1. The controller, at its defaults and from an unknown pace, and fixed numbers of workers without paceline's engine take turns, round after round,
   on the same server and the same questions. A figure is the least time of the rounds: other load on the machine only adds to it.
2. The server forgets a prompt after its answer (`cache_prompt`), or every run but the first would read prompts for nothing.
3. The answers are those of the most likely tokens (temperature 0), end with their first sentence, and have at most 24 tokens, so that all runs have
   the same work.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio

from paceline import CallError, FaultKind
from paceline.llm_strategies.openai import OpenAIStrategy
from paceline.suites import Suite, SuiteResult, evaluate, find

from ..table import table
from .processes import StartError
from .servers import MissingServerError, Server, smollm2

SUITE = Path(__file__).with_name("capitals.toml")
_FIXED = (1, 2, 4, 8, 16)  # workers
_SHARE = 1.10  # of the time of the best fixed number of workers
_TOKENS = 24
_TIMEOUT = 120.0  # seconds of one call


@attrs.frozen
class Turn:
    """One run of all questions."""

    seconds: float
    answers: int


def strategy_for(url: str) -> OpenAIStrategy[str]:
    """Return the strategy that asks a server of llama.cpp."""
    options = {"temperature": 0, "max_tokens": _TOKENS, "stop": [".", "\n"], "extra_body": {"cache_prompt": False}}
    return OpenAIStrategy("smollm2", api_key="any", base_url=f"{url}/v1", options=options)


async def fixed(suite: Suite, url: str, workers: int) -> Turn:
    """Ask all questions with a fixed number of workers, each of which makes one call after the other."""
    strategy = strategy_for(url)
    await strategy.prepare()
    waiting = [str(suite.ask(question)) for question in suite]
    answers: list[str] = []

    async def work() -> None:
        while waiting:
            try:
                answer, _ = await strategy.execute(waiting.pop(), 1, _TIMEOUT)
            except CallError as error:
                if error.kind is not FaultKind.TRUNCATED:
                    raise
                answer = error.answer or ""  # an answer that is too long is one, too
            answers.append(answer)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(workers):
            nursery.start_soon(work)
    seconds = time.perf_counter() - began
    await strategy.cleanup()
    return Turn(seconds, len(answers))


async def measure(server: Server, rounds: int) -> tuple[SuiteResult, dict[str, list[Turn]]]:
    """Return the last result of the controller's runs, and the turns by name; the first name is the controller's."""
    suite = find(str(SUITE))
    turns: dict[str, list[Turn]] = {"paceline": [], **{f"{workers} workers": [] for workers in _FIXED}}
    result = None
    await fixed(suite, server.url, 4)  # warm-up: the server's first calls load its weights
    for number in range(rounds):
        for workers in _FIXED:
            turns[f"{workers} workers"].append(await fixed(suite, server.url, workers))
        result = await evaluate(suite, strategy_for(server.url))
        turns["paceline"].append(Turn(result.seconds, result.scored))
        print(
            f"round {number + 1}: {', '.join(f'{name} {found[-1].seconds:.1f} s' for name, found in turns.items())}",
            flush=True,
        )
    if result is None:
        raise ValueError("rounds must be 1 or more")
    return result, turns


def report(result: SuiteResult, turns: dict[str, Sequence[Turn]], load: float) -> tuple[str, bool]:
    """Return what was measured, and whether each question was answered and the controller was fast enough."""
    least = {name: min(turn.seconds for turn in found) for name, found in turns.items()}
    best = min((name for name in least if name != "paceline"), key=least.__getitem__)
    ratio = least["paceline"] / least[best]
    rows = [
        (name, *(f"{turn.seconds:.1f}" for turn in turns[name]), f"{seconds:.1f}", f"{seconds / least[best]:.2f}")
        for name, seconds in least.items()
    ]
    head = ("", *(f"round {number + 1}, s" for number in range(len(rows[0]) - 3)), "least, s", "of the best")
    is_complete = result.is_complete and all(turn.answers == result.items for found in turns.values() for turn in found)
    is_met = is_complete and result.refusals == 0 and ratio <= _SHARE
    text = (
        f"{result.suite}, SmolLM2-135M: {result.scored} of {result.items} questions answered and scored, accuracy {result.accuracy:.0%} "
        f"({result.interval.low:.0%} to {result.interval.high:.0%}), {result.refusals} refusals.\n\n{table(head, rows)}\n\n"
        f"The controller needs {ratio:.2f} of the time of the best fixed number, {best}: {'met' if is_met else 'MISSED'} "
        f"(target: at most {_SHARE:.2f}, every answer, no refusal). Load of the machine at the start: {load:.1f}."
    )
    return text, is_met


def main() -> int:
    """Serve the model and measure; return the exit code: 1 if the target was missed, 2 if the model is not on this machine."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.live.real_model", description="Run a suite of a real model."
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: %(default)s)")
    parser.add_argument(
        "--slots", type=int, default=4, help="calls that the server works on at once (default: %(default)s)"
    )
    parser.add_argument("--serve", action="store_true", help="serve the model until Ctrl-C, and measure nothing")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C does: the server ends too
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="paceline-live-") as folder:
        try:
            with smollm2(Path(folder), slots=options.slots) as server:
                if options.serve:
                    print(f"SmolLM2-135M: -m openai:smollm2@{server.url}/v1", flush=True)
                    threading.Event().wait()
                text, is_met = report(*trio.run(measure, server, max(1, options.rounds)), load)
        except (MissingServerError, StartError) as error:
            print(error, file=sys.stderr)
            return 2
    print(text)
    return 0 if is_met else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # the server has ended
