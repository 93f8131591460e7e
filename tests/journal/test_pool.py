"""The journal of a pool, over restarts of its service."""

from __future__ import annotations

import pytest

from paceline import CallableStrategy, open_pool

pytestmark = pytest.mark.anyio


async def test_calls_of_a_restarted_service_have_ids_of_their_own_in_its_journal(path):
    called = []

    async def answer(prompt: str) -> str:
        called.append(prompt)
        return prompt.upper()

    results = []
    for prompts in ("ab", "ca"):
        async with open_pool(journal=path) as pool:
            results += [await pool.call(CallableStrategy(answer), prompt) for prompt in prompts]
    assert [result.output for result in results] == ["A", "B", "C", "A"]
    assert len({result.item_id for result in results}) == 4
    assert called == ["a", "b", "c"], "an equal prompt is answered from the journal"
