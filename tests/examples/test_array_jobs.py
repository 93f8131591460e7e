"""The manifests of array jobs are valid, and start shards of one input."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from paceline._core.shards import Shard, to_shard_of_job
from paceline.cli.app import app

EXAMPLES = Path(__file__).parents[2] / "examples"


def job():
    return yaml.safe_load((EXAMPLES / "kubernetes-job.yaml").read_text())


def test_the_kubernetes_job_is_valid_by_the_schema_of_kubernetes():
    kubernetes_validate.validate(job(), kubernetes_validate.latest_version(), strict=True)


def test_a_job_with_a_misspelt_field_is_not_valid():
    wrong = job()
    wrong["spec"]["completionsMode"] = wrong["spec"].pop("completionMode")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_the_pods_of_the_kubernetes_job_are_all_shards():
    spec = job()["spec"]
    arguments = spec["template"]["spec"]["containers"][0]["args"]
    _, bound, unknown = app.parse_known_args(arguments[1:])[:3]
    assert not unknown
    shard = bound.arguments["options"].shard
    found = [to_shard_of_job(shard, {"JOB_COMPLETION_INDEX": str(index)}) for index in range(spec["completions"])]
    assert found == [Shard(index, spec["completions"]) for index in range(spec["completions"])]


def test_a_task_of_the_slurm_array_answers_its_shard(tmp_path):
    script = EXAMPLES / "slurm-array.sh"
    first, last = map(int, re.search(r"^#SBATCH --array=(\d+)-(\d+)$", script.read_text(), re.MULTILINE).groups())
    (tmp_path / "prompts.jsonl").write_text("".join(f'{{"id": "q{i}", "prompt": "p"}}\n' for i in range(10)))
    program = tmp_path / "paceline"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m paceline "$@"\n')
    program.chmod(0o755)
    task = {
        "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_ARRAY_TASK_COUNT": str(last - first + 1),
        "SLURM_ARRAY_TASK_MIN": str(first),
    }
    environment = (
        os.environ | task | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MODEL": "sim:rate=none,latency=0.01"}
    )
    done = subprocess.run(["bash", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "results-00001-of-00008.jsonl").read_text().splitlines()) == 2
