"""Texts do without the words of the list, and the list finds what it is for."""

from __future__ import annotations

import pytest

from .wordlist import ROOT, findings, texts

READ = [
    ROOT / name
    for name in ("src", "tests", "docs", "benchmarks", "examples", "README.md", "CHANGELOG.md", "CONTRIBUTING.md")
]


def test_no_text_has_a_word_of_the_list():
    assert [str(finding) for path in texts(READ) for finding in findings(path)] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.md", "The user is told why.\n"),
        ("page.md", "The run was gone on with.\n"),
        ("page.md", "The journal is none.\n"),
        ("page.md", "Update the mean, the so manieth.\n"),
        ("module.py", '"""Which call starts next?"""\n'),
        ("module.py", "def told_each():\n    pass\n"),
        ("module.py", "x = 1  # built anew\n"),
    ],
)
def test_each_kind_of_text_is_searched(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert list(findings(tmp_path / name))


def test_the_word_none_of_python_is_not_on_the_list(tmp_path):
    (tmp_path / "module.py").write_text("x = 1 if y is None else 2\n")
    assert list(findings(tmp_path / "module.py")) == []
