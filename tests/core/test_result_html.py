"""A batch in a notebook: its outcome in a small table, in which every text is a text."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.accounting import ModelUse
from paceline._core.fault import Fault, FaultKind
from paceline._core.results import BatchResult, WorkItemResult

ALLOWED = {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "br"}


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.names, self.text = set(), set(), ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += f"{data} "


HOSTILE = st.text(max_size=60) | st.sampled_from(
    ["</script><script>x</script>", "]]>", "\u202eabc", "\x00\x1b[2J", "<img src=x onerror=y>", "x" * 10_000]
)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_text_becomes_anything_but_text(message, model, item_id):
    batch = BatchResult(
        results=(WorkItemResult(item_id, 0, error=Fault(FaultKind.INVALID, message)),),
        models=(ModelUse(model=model, calls=1), ModelUse(model="other", calls=1)),
        stopped=Fault(FaultKind.DENIED, message),
    )
    shown = batch._repr_html_()
    page = Page(shown)
    assert page.tags <= ALLOWED
    assert page.names <= {"style"}
    assert not {"\x00", "\x1b", "\u202e", "\u2066"} & {*shown}
    assert len(shown) < 10_000


def test_it_says_what_became_of_the_batch_and_leaves_outputs_out():
    batch = BatchResult(
        results=(
            WorkItemResult("a", 0, output="the secret answer"),
            WorkItemResult("b", 1, error=Fault(FaultKind.INVALID, "no JSON")),
            WorkItemResult("c", 2, error=Fault(FaultKind.PENDING, "not reached")),
        ),
        seconds=2.5,
        refusals=1,
    )
    text = Page(batch._repr_html_()).text
    assert "3 items: 1 succeeded, 1 failed, 1 pending" in text
    assert "2.5 s" in text
    assert "1 call" in text
    assert "invalid 1 1 × no JSON (b)" in text
    assert "secret" not in text
    assert "pending 1 " not in text
