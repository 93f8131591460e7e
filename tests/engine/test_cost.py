"""Cost: an item takes a bounded number of function calls of the engine and its pace; they are counted, not timed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import paceline
from paceline import LLMCallStrategy, ProcessorConfig, process_prompts
from paceline.testing import run_in_virtual_time

SOURCE = str(Path(paceline.__file__).parent)
FEW, MANY = 200, 700
CALLS = 140  # for an item, of which 128 were needed when this was written


class AtOnce(LLMCallStrategy[str]):
    """Answers at once."""

    async def execute(self, prompt, attempt, timeout):
        return prompt, None


def calls_of(items, backend):
    """Return how many functions of paceline are called in a batch, coroutines once more each time they are resumed."""
    calls = 0

    def count(frame, event, _):
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(SOURCE)

    async def main():
        sys.setprofile(count)
        try:
            return await process_prompts(AtOnce(), map(str, range(items)), config=ProcessorConfig(max_workers=20))
        finally:
            sys.setprofile(None)

    assert run_in_virtual_time(main, backend=backend).succeeded == items
    return calls


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer, such as that of coverage, calls functions too")
def test_an_item_takes_few_function_calls(backend):
    calls_of(50, backend)  # late imports
    assert (calls_of(MANY, backend) - calls_of(FEW, backend)) / (MANY - FEW) <= CALLS
