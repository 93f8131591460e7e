"""Runs against a real server on 127.0.0.1 that refuses or answers something else: the exit code, the provider's words, what to do."""

from __future__ import annotations

import json

import pytest

from ...strategies.chat_service import openai_error, openai_reply
from ...strategies.gemini.service import Answer, Service
from ..conftest import rows_of

pytestmark = pytest.mark.usefixtures("no_keys")

PAGE = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body>Hello</body></html>"
GOOD = Answer(openai_reply())


class Scripted(Service):
    """Answers the prompts that end in `bad` with `self.answer`, and all others well; one call with `self.once` before that."""

    answer, once = GOOD, None

    def answer_to(self, received):
        with self._lock:
            self.received.append(received)
            if self.once is not None and len(self.received) > 2:
                once, self.once = self.once, None
                return once
        return self.answer if str(received.body["messages"][-1]["content"]).endswith("bad") else GOOD


@pytest.fixture
def service():
    with Scripted() as running:
        yield running


@pytest.fixture
def run(paceline, service, tmp_path):
    """Run prompts, some of them bad; return the run."""

    def start(answer, *arguments, good=0, bad=14):
        service.answer = answer
        texts = ["bad"] * bad + ["good"] * good
        lines = (json.dumps({"id": f"q{n}", "prompt": f"{n} {text}"}) + "\n" for n, text in enumerate(texts))
        (tmp_path / "in.jsonl").write_text("".join(lines))
        model = f"openai:gpt-5@{service.url}/v1"
        return paceline("run", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "-m", model, *arguments)

    return start


QUIET = pytest.mark.parametrize("quiet", [(), ("--quiet",)], ids=["", "quiet"])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(openai_error("Payload of 9 MB exceeds 4 MB"), 413), "413: Payload of 9 MB exceeds 4 MB"),
        (
            Answer(openai_error("Request too large for gpt-5 on tokens per min", "tokens", "rate_limit_exceeded"), 429),
            "429: Request too large for gpt-5",
        ),
        (
            Answer(
                openai_error("This model's maximum context length is 8192 tokens.", code="context_length_exceeded"), 400
            ),
            "400: This model's maximum context length",
        ),
    ],
    ids=["status", "words", "context"],
)
def test_items_that_are_too_large_are_named_and_the_others_are_served(run, service, tmp_path, answer, words):
    done = run(answer, good=6, bad=3)
    assert done.code == 1
    assert {row["id"] for row in rows_of(tmp_path / "out.jsonl") if row["success"]} == {f"q{n}" for n in range(3, 9)}
    assert words in done.err
    assert "shorten them, use a model that takes more" in done.err
    assert "running the same prompts again cannot help" in done.err
    assert f"gpt-5 is called at {service.url}/v1" in done.err


def test_a_run_whose_items_are_all_too_large_stops_with_what_to_do(run):
    done = run(Answer(openai_error("Payload of 9 MB exceeds 4 MB"), 413))
    assert done.code == 1
    assert "Payload of 9 MB exceeds 4 MB; shorten the prompts, use a model that takes more" in done.err
    assert "--model NAME" not in done.err


@QUIET
def test_prompts_that_the_providers_policy_rejects_are_named_and_the_others_are_served(run, quiet):
    flagged = Answer(openai_error("Your prompt was flagged", code="content_policy_violation"), 400)
    done = run(flagged, *quiet, good=6, bad=3)
    assert done.code == 1
    assert "refused: 3" in done.err
    assert "400: Your prompt was flagged (q0, q1, q2)" in done.err
    assert "the provider's content policy does not allow these prompts" in done.err


@QUIET
def test_a_model_that_the_account_may_not_use_ends_the_run_after_one_call(run, service, quiet):
    done = run(
        Answer(openai_error("Project `p` does not have access to model `gpt-5`", code="model_not_found"), 403), *quiet
    )
    assert (done.code, service.requests) == (1, 1)
    assert "403: Project `p` does not have access to model `gpt-5`" in done.err
    assert "the account may not use the model: ask the provider for access, or use another model" in done.err
    assert "--model NAME --allow-changes" in done.err
    assert service.url.removeprefix("http://") in done.err


@QUIET
def test_a_model_that_does_not_exist_ends_the_run_soon(run, service, quiet):
    done = run(Answer(openai_error("The model `gpt-5` does not exist", code="model_not_found"), 404), *quiet)
    assert done.code == 1
    assert service.requests < 14
    assert "404: The model `gpt-5` does not exist; check the model's name" in done.err
    assert "if the model's name or address is wrong, resume with: paceline resume" in done.err


@QUIET
def test_a_server_that_answers_with_a_page_is_named_at_once(run, service, quiet):
    done = run(Answer(PAGE, headers={"Content-Type": "text/html"}), "--deadline", "0.5", *quiet)
    assert done.code == 1
    assert f"the server answered HTML, not JSON: is the URL right ({service.url}/v1)?" in done.err
    assert "calls of gpt-5 are tried again" in done.err
    assert "0 succeeded, 0 failed, 14 pending" in done.err


def test_a_page_with_a_status_of_a_wrong_address_stops_the_run(run, service):
    done = run(Answer(PAGE, 404, {"Content-Type": "text/html"}))
    assert done.code == 1
    assert f"HTTP 404: the server answered HTML, not JSON: is the URL right ({service.url}/v1)?" in done.err
    assert "check the server's address: it must be that of the API" in done.err
    assert "if the model's name or address is wrong, resume with: paceline resume" in done.err


@QUIET
def test_an_error_in_an_answer_with_status_200_counts_by_its_code(run, quiet):
    done = run(Answer({"error": {"message": "Unknown parameter frob", "code": 400}}), *quiet)
    assert done.code == 1
    assert (
        "the reply holds an error: Unknown parameter frob; check the model's name, its options and the prompts"
        in done.err
    )


def test_an_error_in_an_answer_without_a_code_is_tried_again_and_named(run):
    done = run(Answer({"error": "model 'foo' not found, try pulling it first"}), "--deadline", "0.5")
    assert done.code == 1
    assert "the reply holds an error: model 'foo' not found, try pulling it first" in done.err
    assert "14 pending" in done.err


def test_one_failure_of_the_server_in_a_healthy_run_is_not_a_warning(run, service):
    service.once = Answer(openai_error("oops"), 500)
    done = run(GOOD, good=12, bad=0)
    assert (done.code, service.requests) == (0, 13)
    assert "retries   1" in done.err
    assert "warning" not in done.err
