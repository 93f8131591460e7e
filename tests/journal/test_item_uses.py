"""What settled items have taken: of all of them, or of a part that is spread over the order of their results."""

from __future__ import annotations

import json

from paceline.journal.reader import JournalReader
from paceline.runs import RunOptions, run


def test_the_items_that_are_read_are_spread_over_all_results(tmp_path):
    lines = [json.dumps({"id": f"q{n}", "prompt": f"say {n}"}) for n in range(40)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    given = RunOptions(
        input=str(tmp_path / "in.jsonl"), model="sim:rate=none,latency=0", price="in=1,out=1", max_workers=1
    )
    run(given)
    with JournalReader(given.journal_file) as reader:
        everything, part = reader.item_uses(1_000), reader.item_uses(10)
    assert sorted(use.id for use in everything) == sorted(f"q{n}" for n in range(40))
    assert {use.id for use in part} == {f"q{n}" for n in range(0, 40, 4)}
    assert all(use.cost > 0 and use.calls == 1 and use.input_tokens > 0 for use in everything)
