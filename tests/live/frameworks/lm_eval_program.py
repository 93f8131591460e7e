"""A program that runs tasks of lm_eval, in a venv that has lm_eval; it prints what came out as one line of JSON.

python lm_eval_program.py URL FOLDER own,openai,gemini,...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import lm_eval
import lm_eval.models
from lm_eval.tasks import TaskManager

from paceline.contrib.lm_eval import register
from paceline.exceptions import CallError

TASK = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/sums.jsonl}}
test_split: test
output_type: OUTPUT
doc_to_text: "What is {{a}} + {{b}}?"
doc_to_target: "{{answer}}"
GENERATION
metric_list: [{metric: METRIC, aggregation: mean, higher_is_better: true}]
"""
GENERATION = """
generation_kwargs: {until: ["\\nThat", "END"], do_sample: false, max_gen_toks: 40}
filter_list:
  - name: number
    filter: [{function: regex, regex_pattern: "ANSWER: (\\\\d+)"}, {function: take_first}]
"""
QUESTIONS = 30


def write_tasks(folder: Path) -> None:
    rows = [{"a": number, "b": number * 3, "answer": str(number * 4)} for number in range(QUESTIONS)]
    (folder / "sums.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    text = TASK.replace("FOLDER", str(folder))
    generating = text.replace("OUTPUT", "generate_until").replace("METRIC", "exact_match")
    (folder / "sums.yaml").write_text(generating.replace("GENERATION", GENERATION), "utf-8")
    choosing = text.replace("task: sums", "task: choices").replace("OUTPUT", "multiple_choice").replace("METRIC", "acc")
    (folder / "choices.yaml").write_text(choosing.replace("GENERATION", 'doc_to_choice: ["1", "{{answer}}"]'), "utf-8")


def models(url: str, folder: Path) -> dict[str, tuple[str, str]]:
    openai = f"model=openai:tiny,base_url={url}/v1"
    return {
        "own": ("local-chat-completions", f"model=tiny,base_url={url}/v1/chat/completions,num_concurrent=8"),
        "openai": ("paceline", openai),
        "gemini": ("paceline", f"model=gemini:gemini-2.5-flash,base_url={url},api_key=any"),
        "anthropic": ("paceline", f"model=anthropic:claude-haiku-4-5,base_url={url},api_key=any"),
        "sim": ("paceline", "model=sim:rate=200;latency=0.05"),
        "journal": ("paceline", f"{openai},journal={folder}/lm.journal"),
    }


def run(manager: TaskManager, model: str, arguments: str, task: str) -> dict[str, Any]:
    try:
        found = lm_eval.simple_evaluate(
            model=model, model_args=arguments, tasks=[task], task_manager=manager, apply_chat_template=True, bootstrap_iters=0,
            log_samples=True,
        )  # fmt: skip
    except (NotImplementedError, CallError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    samples = sorted(found["samples"][task], key=lambda sample: sample["doc_id"])
    return {
        "score": found["results"][task]["exact_match,number"],
        "answers": [sample["resps"][0][0] for sample in samples],
    }


def main() -> None:
    url, place, *cases = sys.argv[1:]
    folder = Path(place)
    write_tasks(folder)
    register()
    manager = TaskManager(include_path=place, include_defaults=False)
    known = models(url, folder)
    results = []
    for case in cases:
        name, _, task = case.partition(":")
        results.append(run(manager, *known[name], task or "sums"))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
