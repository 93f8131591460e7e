"""Configuration of the documentation site: `make docs` builds it into build/docs, offline.

1. A page reference/api/MODULE.md ends with the module's public names and their docstrings (see public_api.py).
2. Nothing is fetched: no inventories of other projects, no fonts. References to names of other packages stay plain text.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

sys.path.insert(0, str(Path(__file__).parent))

from public_api import PUBLIC_MODULES, defined_in, described_on, homes, reference

project = "paceline"
author = "The paceline authors"
version = release = importlib.metadata.version("paceline")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
html_theme = "furo"
html_title = "paceline"
html_show_copyright = False

myst_heading_anchors = 3  # links such as journal.md#size, which a code host understands too
copybutton_prompt_text = "$ "

default_role = "code"  # docstrings quote code with one backtick, as Markdown does
autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
add_module_names = False

nitpicky = True
nitpick_ignore_regex = [  # there is nothing to link to: names of other packages, type variables, private names in annotations
    (r"py:.*", rf"(?!({'|'.join(map(re.escape, PUBLIC_MODULES))})\.[A-Z]\w*(\.\w+)?$).*"),
    (r"py:.*", r".*\b(T|T_co|U)"),
]
suppress_warnings = ["misc.highlighting_failure"]  # a JSON snippet may leave something out with "..."


def _prepare(module: str) -> None:
    """Make a module the home of what its page describes: for links from annotations, and for docstrings of attributes."""
    home = ModuleAnalyzer.for_module(module)
    home.analyze()
    for name in described_on(module):
        source, original = defined_in(module, name)
        if source == module:
            continue
        value = getattr(importlib.import_module(module), name)
        if isinstance(value, type):
            value.__module__ = module
        analyzer = ModuleAnalyzer.for_module(source)
        analyzer.analyze()
        for (scope, attribute), docs in analyzer.attr_docs.items():
            if original in {scope.partition(".")[0], attribute if not scope else None}:
                home.attr_docs[scope, attribute] = docs
        for key, order in analyzer.tagorder.items():
            if key.partition(".")[0] == original:
                home.tagorder[key] = order


def _convert_docstring(_app: Sphinx, what: str, name: str, obj: object, _options: object, lines: list[str]) -> None:
    """Convert Google's sections. Napoleon's own handler would take what an attribute's sentence has before a colon for its type."""
    as_what = "method" if what in {"attribute", "data", "property"} else what
    lines[:] = GoogleDocstring(_with_literal_blocks(lines), Config(), None, as_what, name, obj).lines()


def _with_literal_blocks(lines: list[str]) -> list[str]:
    """Mark indented blocks as code, as Markdown has it: those after a blank line, with a paragraph at the margin before it."""
    marked: list[str] = []
    for number, line in enumerate(lines):
        is_first = line.startswith("    ") and number > 1 and not lines[number - 1].strip()
        before = next((text for text in reversed(lines[:number]) if text.strip()), "")
        if is_first and not before.startswith(" ") and not before.endswith("::"):
            marked += ["::", ""]
        marked.append(line)
    return marked


def _show_defaults(*arguments: Any) -> tuple[str, str | None] | None:
    """Show a default that attrs creates for each object as an ellipsis."""
    *_, signature, returns = arguments
    return (signature.replace("= NOTHING", "= ..."), returns) if signature else None


def _append_reference(_app: Sphinx, page: str, source: list[str]) -> None:
    folder, _, module = page.rpartition("/")
    if folder == "reference/api" and module in PUBLIC_MODULES:
        source[0] += f"\n```{{eval-rst}}\n{reference(module)}\n```\n"


def _resolve_at_home(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.Node | None:
    """Resolve a reference to a public name by another module than its home."""
    module, _, name = node.get("reftarget", "").rpartition(".")
    for (_, known), home in homes().items():
        if known == name and module.startswith("paceline") and module != home:
            python = env.domains.python_domain
            return python.resolve_xref(env, node["refdoc"], app.builder, "obj", f"{home}.{name}", node, text)
    return None


def _check_reference(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each public name that no page describes."""
    described = env.domains.python_domain.objects
    for (module, name), home in homes().items():
        if f"{home}.{name}" not in described:
            logging.getLogger(__name__).warning("%s.%s has no entry in the API reference", module, name)


def setup(app: Sphinx) -> None:
    """Prepare the public modules, and let the pages of the API reference be completed."""
    for module in PUBLIC_MODULES:
        _prepare(module)
    app.connect("autodoc-process-docstring", _convert_docstring)
    app.connect("autodoc-process-signature", _show_defaults)
    app.connect("source-read", _append_reference)
    app.connect("missing-reference", _resolve_at_home)
    app.connect("env-check-consistency", _check_reference)
