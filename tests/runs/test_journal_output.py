"""Journal output: an output holds what the journal holds, whether its rows come from memory or from the file."""

from __future__ import annotations

import os
from contextlib import ExitStack

from hypothesis import given, settings
from hypothesis import strategies as st

from paceline import WorkItemResult
from paceline._core.results import Attempt
from paceline._core.usage import TokenUsage
from paceline.files.output import Output
from paceline.files.output_formats import OutputFormat
from paceline.journal.items import RegisteredItem
from paceline.journal.reader import JournalReader
from paceline.journal.writer import JournalWriter
from paceline.runs.journal_output import JournalOutput, encoder

from ..search import examples

ITEMS = 40


def result(name, output):
    attempts = (Attempt(1, 0.5, 0.25, "lane", TokenUsage(5, 2), None, "m-1"),)
    return WorkItemResult(name, 0, output, usage=TokenUsage(5, 2), attempts=attempts, model="m-1")


class Followed:
    """A journal and an output that follows it."""

    def __init__(self, folder, stack, output_format=OutputFormat.OWN):
        self.path = folder / "out"
        self.store = stack.enter_context(JournalWriter(folder / "journal"))
        strategy = self.store.items.strategy_number({})
        items = [RegisteredItem(str(n), str(n).encode(), strategy, n) for n in range(1, ITEMS + 1)]
        self.store.items.register(items, accept_changes=True)
        self.store.begin_run()
        self.reader = stack.enter_context(JournalReader(self.store.path))
        self.format = output_format
        self.descriptor = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        stack.callback(os.close, self.descriptor)
        self.next = 1

    def follow(self):
        output = Output(str(self.path), self.descriptor)
        self.output = JournalOutput(self.reader, self.store, output, path=str(self.path), output_format=self.format)

    def commit(self, count):
        names = range(self.next, min(self.next + count, ITEMS + 1))
        self.next += len(names)
        self.store.commit([result(str(name), f"answer {name} é") for name in names], {})

    def expected(self):
        return b"".join(map(encoder(self.format), self.reader.rows()))


@settings(deadline=None, max_examples=examples(40))
@given(
    steps=st.lists(st.one_of(st.integers(1, 9), st.sampled_from(["output", "again"])), max_size=15),
    before=st.integers(0, 5),
    output_format=st.sampled_from([OutputFormat.OWN, OutputFormat.OPENAI]),
)
def test_an_output_has_each_result_of_the_journal_once_in_the_order_of_commits(
    tmp_path_factory, steps, before, output_format
):
    with ExitStack() as stack:
        followed = Followed(tmp_path_factory.mktemp("run"), stack, output_format)
        followed.commit(before)  # not in memory: an earlier run has committed them
        followed.follow()
        for step in steps:
            if step == "output":
                followed.output.catch_up()
                assert followed.path.read_bytes() == followed.expected()
            elif step == "again":
                followed.store.take_recent(after=0)  # rows that are not in memory any more
            else:
                followed.commit(step)
        followed.output.finish()
        assert followed.path.read_bytes() == followed.expected()


def test_rows_that_a_full_disk_refused_are_written_by_the_next_attempt(tmp_path):
    with ExitStack() as stack:
        followed = Followed(tmp_path, stack)
        followed.follow()
        followed.commit(3)
        followed.output._output = Refusing(followed.output._output)
        try:
            followed.output.catch_up()
        except OSError:
            followed.output._output = followed.output._output.inner
        followed.commit(2)
        followed.output.catch_up()
        assert followed.path.read_bytes() == followed.expected()
        assert followed.output.saved == 5


class Refusing:
    def __init__(self, inner):
        self.inner = inner
        self.saved = 0

    def write(self, rows):
        raise OSError("no space left")
