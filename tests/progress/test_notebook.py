"""Progress in a notebook: one output below the cell that is replaced, without scripts and widgets."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from paceline import FaultKind
from paceline._core.fault_groups import FaultGroup
from paceline.progress.notebook import html, is_notebook

from .test_panel import figures

CELL = """
import paceline
from paceline.testing import parse_model
strategy = parse_model("sim:rate=none,latency=0.3")
batch = paceline.run_prompts(strategy, ["a", "b"], progress=True)
"""
AWAITED = (
    "batch = await paceline.process_prompts(parse_model('sim:rate=none,latency=0.3'), ['a', 'b', 'c'], progress=True)"
)


def test_figures_are_escaped():
    group = FaultGroup(FaultKind.BUG, 2, "<script>alert('x')</script>\x1b[2J")
    picture = html(figures(messages=(group,), failures={"bug": 2}))
    assert "<script" not in picture
    assert "&lt;script&gt;alert(&#x27;x&#x27;)" in picture
    assert "\x1b" not in picture
    assert 'value="150" max="600"' in picture
    assert "150 of 600 done (25 %)" in picture


def test_of_an_unknown_number_of_items_the_bar_only_moves():
    assert "value=" not in html(figures(total=None))


def test_a_script_is_not_a_notebook():
    assert not is_notebook()


@pytest.mark.filterwarnings("default")  # those of the notebook's packages
def test_a_cell_has_one_picture_of_its_own_batch(monkeypatch, tmp_path):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (CELL, AWAITED)])
    resources = {"metadata": {"path": tmp_path}}
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources=resources).execute()
    for cell, count in zip(notebook.cells, (2, 3), strict=True):
        (picture,) = (output.data["text/html"] for output in cell.outputs if output.output_type == "display_data")
        assert f"{count} of {count} done (100 %)" in picture
        assert not [output for output in cell.outputs if output.output_type == "stream"]
