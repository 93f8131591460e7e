"""The documented finish reasons are those of the table."""

from __future__ import annotations

import re
from pathlib import Path

from paceline._core.provider_answers.finish_reasons import TABLE

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "strategies.md"


def test_the_page_has_each_reason_with_its_fault():
    section = PAGE.read_text("utf-8").partition("## Finish reasons")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*`) \| (.*) \|$", section, re.MULTILINE)
    documented = {(word, fault.strip("`")) for words, fault in rows for word in re.findall(r"`(\w+)`", words)}
    assert documented == {(word, str(kind or "an answer")) for kind, _, words in TABLE for word in words.split()}
