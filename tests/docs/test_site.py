"""The documentation site: every page is in a table of contents, every public name in the reference, and the site can be built."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from paceline import FaultKind

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_spec = importlib.util.spec_from_file_location("public_api", DOCS / "public_api.py")
public_api = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(public_api)
API = DOCS / "reference" / "api"
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PUBLIC_MODULES = (
    "paceline",
    "paceline.abc",
    "paceline.exceptions",
    "paceline.files",
    "paceline.journal",
    "paceline.llm_strategies",
    "paceline.llm_strategies.gemini",
    "paceline.middleware",
    "paceline.observers",
    "paceline.report",
    "paceline.runs",
    "paceline.telemetry",
    "paceline.testing",
    "paceline.typing",
)


def entries(page: Path) -> set[Path]:
    """Return the pages that a page's tables of contents have, as files."""
    lines = [line for block in TOCTREE.findall(page.read_text("utf-8")) for line in block.splitlines()]
    return {page.parent / f"{line}.md" for line in lines if line and not line.startswith(":")}


def test_every_page_can_be_reached_from_the_table_of_contents():
    reached, found = {DOCS / "index.md"}, [DOCS / "index.md"]
    while found:
        new = entries(found.pop()) - reached
        reached |= new
        found += new
    assert reached == {*DOCS.rglob("*.md")}


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_every_public_module_has_a_page_in_the_reference(module):
    assert importlib.import_module(module).__doc__
    page = API / f"{module}.md"
    assert page.read_text("utf-8").startswith(f"# {module}\n")
    assert page in entries(API / "index.md")


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/explanation/architecture.md"])
def test_every_file_that_a_page_names_exists(page):
    files = [
        f"/{path.relative_to(ROOT)}" for folder in ("src", "tests", "docs") for path in (ROOT / folder).rglob("*.*")
    ]
    for name in re.findall(r"`([\w./]+\.(?:py|md|txt))`", (ROOT / page).read_text("utf-8")):
        if name.isascii() and "NAME" not in name:
            assert (ROOT / name).exists() or any(file.endswith(f"/{name}") for file in files), name


def test_every_name_that_contributing_gives_is_in_the_source():
    source = "".join(path.read_text("utf-8") for folder in ("src", "docs") for path in (ROOT / folder).rglob("*.py"))
    names = set(re.findall(r"`(_?[A-Z][A-Z_]+|_[a-z]\w+|_[A-Z]\w+)`", (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    assert {"_PROVIDERS", "_GRAVITY", "_failed"} <= names
    for name in names - {"NAME", "_core", "_engine", "_codec"}:
        assert re.search(rf"\b{name}\b", source), name


def test_the_example_of_one_test_in_contributing_finds_tests():
    (command,) = re.findall(r"pytest -n 0 (\S+) -k (\w+)", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    path, word = command
    assert re.search(rf"def test_\w*{word}", (ROOT / path).read_text("utf-8"))


def test_every_kind_of_fault_has_its_row_and_the_glossary_their_number():
    kinds = (DOCS / "reference" / "faults.md").read_text("utf-8").partition("\n## ")[0]  # the first table
    rows = re.findall(r"^\| `(\w+)` \|", kinds, re.MULTILINE)
    assert sorted(rows) == sorted(FaultKind)
    assert f"[{len(FaultKind)} kinds]" in (DOCS / "explanation" / "glossary.md").read_text("utf-8")


def test_every_message_in_troubleshooting_is_one_of_the_program():
    source = re.sub(r'"\s*\n\s*f?"', "", "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py")))
    headings = re.findall(r"^## (.*)$", (DOCS / "how-to" / "troubleshooting.md").read_text("utf-8"), re.MULTILINE)
    quotes = [quote for heading in headings for quote in re.findall(r"`([^`]+)`", heading)]
    assert len(quotes) >= 10
    for part in [part.strip(" ,';") for quote in quotes for part in quote.split("...")]:
        assert part in source, part


def test_every_public_name_is_in_the_reference_of_its_module():
    """That the site can be built, and has what the reference asks for, is seen by `make docs`."""
    for module in PUBLIC_MODULES:
        public = {name for name in getattr(importlib.import_module(module), "__all__", ()) if not name.startswith("__")}
        named = re.findall(r"::(\w+)$|~[\w.]+\.(\w+)`", public_api.reference(module), re.MULTILINE)
        assert public == {described or linked for described, linked in named}, module
