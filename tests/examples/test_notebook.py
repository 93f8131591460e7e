"""The notebook, run by its kernel."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from .programs import EXAMPLES, provider


@pytest.mark.filterwarnings("default")  # those of the notebook's packages
def test_the_notebook_runs_from_its_first_cell_to_its_last(monkeypatch, tmp_path):
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    with provider(rate=50, latency=0.05) as backend:
        for name, value in backend.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
        NotebookClient(
            notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
        ).execute()
        assert backend.counts()["served"] == 2 + 20 + (20 + 2 * 2) + 2
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    values = [
        output.data["text/plain"] for cell in outputs for output in cell if output.output_type == "execute_result"
    ]
    assert values == [
        "[{'id': 'a', 'text': 'Good', 'label': 'positive'},\n {'id': 'b', 'text': 'Too long', 'label': 'negative'}]",
        "[('positive', 'positive'), ('negative', 'negative')]",
    ]
    streamed, summary = (
        "".join(output.text for output in cell if output.output_type == "stream")
        for cell in outputs
        if any(output.output_type == "stream" for output in cell)
    )
    assert sorted(streamed.split(), key=int) == [str(number) for number in range(20)]
    assert "2 succeeded" in summary
