"""Results of suites as they lie in folders, written without a run."""

import json

from paceline.suites.results import Tally
from paceline.suites.statistics import accuracy


def write_result(folder, scores, *, suite="sums", samples=1, text="", **more):
    """Write a result whose items have these scores (a list of samples each, None for none); return its folder."""
    folder.mkdir(parents=True)
    tally = Tally(samples)
    rows = []
    for name, values in scores.items():
        number = tally.add_item()
        for sample, value in enumerate(values):
            if value is None:
                tally.lose("timeout")
            else:
                tally.score(number, value)
            rows.append(
                {
                    "item": name,
                    "sample": sample,
                    "score": value,
                    "explanation": None if value is None else f"{text}'{value}', right: '1'",
                    "target": f"{text}1",
                    "prompt": f"{text}What is {name}?",
                    "output": None if value is None else f"{text}answer {value} to {name}",
                    "error": {"kind": "timeout", "message": f"{text}took too long", "answer": None}
                    if value is None
                    else None,
                }
            )
    means = [
        sum(known) / len(known)
        for known in ([v for v in values if v is not None] for values in scores.values())
        if known
    ]
    mean, interval = accuracy(means, tally.scored)
    summary = {
        "suite": suite,
        "model": "m",
        "strategy": "model",
        "items": len(scores),
        "samples": samples,
        "scored": tally.scored,
        "unanswered": tally.unanswered,
        "unscored": 0,
        "accuracy": mean if means else None,
        "interval": {"low": interval.low, "high": interval.high},
        "pass_at": tally.pass_at(),
        "input_tokens": 1_000,
        "output_tokens": 2_000,
        "cost": 0.5,
        "seconds": 2.0,
        "total_seconds": 3.0,
        "goodput": 1.0,
        "refusals": 0,
        **more,
    }
    (folder / "result.json").write_text(json.dumps(summary))
    (folder / "transcript.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder
