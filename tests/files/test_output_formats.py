"""Result rows in the formats of the batch APIs: a reply of that API as it came, any other output in a reply of that format."""

from __future__ import annotations

import json

import pytest
from anthropic.types.messages import MessageBatchIndividualResponse
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from paceline import Fault, FaultKind, TokenUsage, WorkItemResult
from paceline._codec import encode_row
from paceline.files.output_formats import OutputFormat, encode

from ..strategies.chat_service import anthropic_reply, openai_reply
from ..strategies.gemini.service import reply

USAGE = TokenUsage(10, 3, 4)
LINES = [form for form in OutputFormat if not form.is_table]
THEIRS = [form for form in LINES if form is not OutputFormat.OWN]


def line(form, **fields):
    return json.loads(encode(form, WorkItemResult("q7", 0, **{"usage": USAGE, "model": "m", **fields})))


def failed(kind):
    return {"error": Fault(kind, "why it failed")}


def test_the_own_format_is_the_row_of_the_library():
    result = WorkItemResult("q7", 0, "x")
    assert encode(OutputFormat.OWN, result) == encode_row(result)


def test_a_reply_is_written_as_it_came():
    answer = openai_reply("half", "length")
    assert line(OutputFormat.OPENAI, output=answer)["response"]["body"] == answer
    assert line(OutputFormat.ANTHROPIC, output=anthropic_reply())["result"]["message"] == anthropic_reply()
    for answer in (reply(), {"promptFeedback": {"blockReason": "SAFETY"}}):
        assert line(OutputFormat.GEMINI, output=answer) == {"key": "q7", "response": answer}


def test_the_format_of_openai():
    row = line(OutputFormat.OPENAI, output="Yes.")
    assert row["id"].startswith("batch_req_")
    assert (row["custom_id"], row["error"], row["response"]["status_code"]) == ("q7", None, 200)
    body = ChatCompletion.model_validate(row["response"]["body"], strict=True)
    assert (body.choices[0].message.content, body.choices[0].finish_reason, body.model) == ("Yes.", "stop", "m")
    assert (body.usage.prompt_tokens, body.usage.completion_tokens, body.usage.total_tokens) == (10, 3, 13)
    assert body.usage.prompt_tokens_details.cached_tokens == 4
    assert line(OutputFormat.OPENAI, **failed(FaultKind.REFUSED)) == {
        "id": row["id"],
        "custom_id": "q7",
        "response": None,
        "error": {"code": "refused", "message": "why it failed"},
    }


def test_the_format_of_gemini():
    row = line(OutputFormat.GEMINI, output="Yes.")
    body = types.GenerateContentResponse.model_validate(row["response"])
    assert (body.text, body.model_version, body.candidates[0].finish_reason) == ("Yes.", "m", "STOP")
    assert (body.usage_metadata.prompt_token_count, body.usage_metadata.total_token_count) == (10, 13)
    assert line(OutputFormat.GEMINI, **failed(FaultKind.THROTTLED)) == {
        "key": "q7",
        "error": {"code": 8, "message": "throttled: why it failed", "status": "RESOURCE_EXHAUSTED"},
    }


def test_the_format_of_anthropic():
    row = line(OutputFormat.ANTHROPIC, output="Yes.")
    MessageBatchIndividualResponse.model_validate(row, strict=False)
    message = row["result"]["message"]
    assert message["content"] == [{"type": "text", "text": "Yes."}]
    assert (message["usage"]["input_tokens"], message["usage"]["cache_read_input_tokens"]) == (6, 4)
    assert line(OutputFormat.ANTHROPIC, **failed(FaultKind.OVERLOADED)) == {
        "custom_id": "q7",
        "result": {
            "type": "errored",
            "error": {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded: why it failed"}},
        },
    }


@pytest.mark.parametrize("form", THEIRS)
@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_of_fault_has_a_name_in_every_format(form, kind):
    assert "why it failed" in json.dumps(line(form, **failed(kind)))


@pytest.mark.parametrize("form", THEIRS)
def test_data_is_written_as_json_and_the_same_result_is_the_same_line(form):
    assert json.dumps('{"name": "Ulm"}') in json.dumps(line(form, output={"name": "Ulm"}))
    assert line(form, output="x") == line(form, output="x")


outputs = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["choices", "candidates", "content", "x"]), inner),
    max_leaves=8,
)


@given(st.sampled_from(LINES), st.text(min_size=1), outputs, st.none() | st.text())
def test_any_output_is_one_line_of_json(form, name, output, model):
    encoded = encode(form, WorkItemResult(name, 0, output, model=model))
    assert encoded.count(b"\n") == 1
    json.loads(encoded, parse_constant=pytest.fail)
