"""The command line, the real google-genai client, and the real llmock server."""

from __future__ import annotations

import json
import os
import subprocess
import sys


def test_a_file_of_prompts_is_answered_by_gemini_from_the_command_line(llmock, tmp_path):
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"id": f"q{n}", "prompt": f"Question {n}?", "context": n}) + "\n" for n in range(20))
    )
    key = "AIzaCommandLine0123456789012345678901234"
    done = subprocess.run(
        [sys.executable, "-m", "paceline", "run", "in.jsonl", "-o", "out.jsonl", "--model", "gemini-2.5-flash"],
        cwd=tmp_path,
        env={**os.environ, "GEMINI_API_KEY": key, "GOOGLE_GEMINI_BASE_URL": f"{llmock}/gemini"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert {row["id"] for row in rows} == {f"q{n}" for n in range(20)}
    assert all(row["success"] and row["output"] and row["model"] == "gemini-2.5-flash" for row in rows)
    assert all(row["usage"]["total_tokens"] > 0 for row in rows)
    assert "items     20: 20 succeeded" in done.stderr
    assert key not in done.stdout + done.stderr + (tmp_path / "out.jsonl").read_text("utf-8")
