"""A program that runs one evaluation of inspect_ai, in the venv that has it: NAME URL SAMPLES; it prints the figures as JSON."""

from __future__ import annotations

import json
import sys
import time

from inspect_ai import Task
from inspect_ai import eval as run_eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

MODELS = {"own": "openai-api/local/tiny", "paceline": "paceline/openai:tiny"}


def task(samples: int) -> Task:
    dataset = MemoryDataset(
        [Sample(input=f"Question {number}: is this good?", target="good") for number in range(samples)]
    )
    return Task(dataset=dataset, solver=generate(), scorer=includes())


def main() -> None:
    name, url, samples = sys.argv[1:]
    model = get_model(MODELS[name], base_url=url, api_key="any")
    run_eval(task(1), model=model, display="none")  # what is loaded at the first evaluation is loaded
    began, busy = time.monotonic(), time.process_time()
    log = run_eval(task(int(samples)), model=model, display="none")[0]
    seconds, cpu = time.monotonic() - began, time.process_time() - busy
    score = None if log.results is None else log.results.scores[0].metrics["accuracy"].value
    if log.status != "success" or score != 1:
        sys.exit(f"{log.status}, accuracy {score}: {log.error}")
    print(json.dumps({"seconds": seconds, "cpu": cpu}))


if __name__ == "__main__":
    main()
