"""Reply text: of a provider's complete reply a table has the text, and why the model stopped."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paceline import WorkItemResult
from paceline._codec import result_row
from paceline.files.output_formats import OutputFormat, encode
from paceline.files.reply_text import finish_reason, is_reply, reply_text
from paceline.files.tables import csv_chunks

USAGE = {"usage": {"total_tokens": 3}}


def chat(*messages, reason="stop"):
    return {"choices": [{"message": message, "finish_reason": reason} for message in messages], **USAGE}


def gemini(*parts, reason="STOP"):
    return {"candidates": [{"content": {"parts": [*parts]}, "finishReason": reason}], "usageMetadata": {}}


CALL = {"function": {"name": "weather", "arguments": "{}"}}
THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
RESPONSES_TEXT = {"type": "message", "content": [{"type": "output_text", "text": "good"}]}


@pytest.mark.parametrize(
    ("reply", "text", "reason"),
    [
        (chat({"content": "good"}), "good", "stop"),
        (chat({"content": [{"type": "text", "text": "go"}, {"type": "text", "text": "od"}]}), "good", "stop"),
        (chat({"content": "good", "reasoning_content": "hm"}, reason="length"), "good", "length"),
        (chat({"content": None, "refusal": "I will not"}), "I will not", "stop"),
        (chat({"content": None, "tool_calls": [CALL]}, reason="tool_calls"), json.dumps([CALL]), "tool_calls"),
        (chat({"content": "one"}, {"content": "two"}), '["one", "two"]', "stop"),
        ({"choices": [{"text": "good"}], **USAGE}, "good", None),
        ({"output": [THOUGHT, RESPONSES_TEXT], "status": "completed", **USAGE}, "good", "completed"),
        (
            {"output": [RESPONSES_TEXT], "incomplete_details": {"reason": "max_output_tokens"}, **USAGE},
            "good",
            "max_output_tokens",
        ),
        (
            {
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "good"}],
                "stop_reason": "end_turn",
                **USAGE,
            },
            "good",
            "end_turn",
        ),
        (gemini({"text": "hm", "thought": True}, {"text": "good"}, reason="MAX_TOKENS"), "good", "MAX_TOKENS"),
    ],
)
def test_the_text_of_each_providers_reply_is_shown(reply, text, reason):
    assert is_reply(reply)
    assert (reply_text(reply), finish_reason(reply)) == (text, reason)


@pytest.mark.parametrize("reply", [chat(), chat({}), {"content": ["a"], **USAGE}, {"output": [{"score": 1}], **USAGE}])
def test_a_reply_without_a_known_answer_is_shown_as_it_is(reply):
    assert json.loads(reply_text(reply)) == reply


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "parts", "text", "type", "output", "usage"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["choices", "candidates", "content", "output"]), json_values), json_values)
@example({"content": [{"type": []}]}, None)
@example({"output": [{"type": {}, "content": [{"type": []}]}]}, None)
def test_no_form_of_a_reply_raises(reply, usage):
    reply = {**reply, "usage": usage}
    assert isinstance(reply_text(reply), str)
    assert isinstance(finish_reason(reply), str | None)


def test_a_table_has_the_text_and_the_batch_form_has_the_complete_reply():
    reply = chat({"content": "good"}, reason="length")
    result = WorkItemResult("a", 0, reply)
    (row,) = csv.DictReader(io.StringIO(b"".join(csv_chunks([result_row(result)])).decode(), newline=""))
    assert (row["output"], row["finish_reason"]) == ("good", "length")
    assert json.loads(encode(OutputFormat.OPENAI, result))["response"]["body"] == reply


def test_a_table_of_texts_has_no_column_of_finish_reasons():
    header = next(csv_chunks([result_row(WorkItemResult("a", 0, "good"))]))
    assert b"finish_reason" not in header
