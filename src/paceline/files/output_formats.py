"""Formats of result rows: paceline's own, and the output lines of the providers' batch APIs.

1. An output that is a reply in the provider's format is written as it came.
2. Any other output (a text, perhaps of another provider's model, or data, as JSON) is put into a reply of that format, with the
   model and the tokens. The time of its creation is not known: `created` is 0.
3. A failure is written with its kind and message, under the nearest error code that the provider has.
4. Ids that the provider's service would assign (`batch_req_...`) are derived from the item's id: the same result is the same line.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, TypeAlias

from .._codec import encode_row, result_row
from .._core.fault import FaultKind
from .._core.results import WorkItemResult

_Row: TypeAlias = dict[str, Any]


class OutputFormat(enum.StrEnum):
    """The format of a row."""

    OWN = "own"
    """paceline's own row."""
    OPENAI = "openai"
    """`{"id", "custom_id", "response", "error"}`."""
    GEMINI = "gemini"
    """`{"key", "response"}` or `{"key", "error"}`."""
    ANTHROPIC = "anthropic"
    """`{"custom_id", "result"}`."""
    CSV = "csv"
    """A table with a header, in UTF-8."""
    PARQUET = "parquet"
    """The same table with types. Requires `paceline[parquet]`."""

    @property
    def is_table(self) -> bool:
        """Whether results are rows of a table, which is written as a whole, and not lines."""
        return self in {OutputFormat.CSV, OutputFormat.PARQUET}


def encode(output_format: OutputFormat, result: WorkItemResult[Any]) -> bytes:
    """Return a result as a line of JSON in UTF-8; not for tables."""
    if output_format is OutputFormat.OWN:
        return encode_row(result)
    return (
        json.dumps(_ENCODERS[output_format](result_row(result)), ensure_ascii=False, allow_nan=False).encode() + b"\n"
    )


def _openai(row: _Row) -> _Row:
    line: _Row = {"id": f"batch_req_{_digest(row)}", "custom_id": row["id"], "response": None, "error": None}
    if not row["success"]:
        return {**line, "error": {"code": row["error"]["kind"], "message": row["error"]["message"]}}
    is_reply = _is_reply(row["output"], "choices") or _is_reply(row["output"], "output")  # the Responses API's
    body = row["output"] if is_reply else _openai_body(row)
    return {**line, "response": {"status_code": 200, "request_id": f"req_{_digest(row)}", "body": body}}


def _openai_body(row: _Row) -> _Row:
    usage = row["usage"]
    message = {"role": "assistant", "content": _text(row["output"]), "refusal": None}
    return {
        "id": f"chatcmpl-{_digest(row)}",
        "object": "chat.completion",
        "created": 0,
        "model": row["model"] or "",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": usage["input_tokens"],
            "completion_tokens": usage["output_tokens"],
            "total_tokens": usage["total_tokens"],
            "prompt_tokens_details": {
                "cached_tokens": usage["cached_input_tokens"],
                "cache_write_tokens": usage["cache_written_tokens"],
            },
        },
    }


def _gemini(row: _Row) -> _Row:
    if not row["success"]:
        status = _GOOGLE_STATUS[FaultKind(row["error"]["kind"])]
        return {"key": row["id"], "error": {"code": _STATUS_CODES[status], "message": _message(row), "status": status}}
    output = row["output"]
    is_reply = _is_reply(output, "candidates") or (isinstance(output, dict) and "promptFeedback" in output)
    return {"key": row["id"], "response": output if is_reply else _gemini_body(row)}


def _gemini_body(row: _Row) -> _Row:
    usage = row["usage"]
    content = {"role": "model", "parts": [{"text": _text(row["output"])}]}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": usage["input_tokens"],
            "candidatesTokenCount": usage["output_tokens"],
            "cachedContentTokenCount": usage["cached_input_tokens"],
            "totalTokenCount": usage["total_tokens"],
        },
        "modelVersion": row["model"] or "",
    }


def _anthropic(row: _Row) -> _Row:
    if not row["success"]:
        error = {"type": _ANTHROPIC_TYPE[FaultKind(row["error"]["kind"])], "message": _message(row)}
        result: _Row = {"type": "errored", "error": {"type": "error", "error": error}}
    else:
        message = row["output"] if _is_reply(row["output"], "content") else _anthropic_body(row)
        result = {"type": "succeeded", "message": message}
    return {"custom_id": row["id"], "result": result}


def _anthropic_body(row: _Row) -> _Row:
    usage = row["usage"]
    return {
        "id": f"msg_{_digest(row)}",
        "type": "message",
        "role": "assistant",
        "model": row["model"] or "",
        "content": [{"type": "text", "text": _text(row["output"])}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": max(
                0, usage["input_tokens"] - usage["cached_input_tokens"] - usage["cache_written_tokens"]
            ),
            "cache_creation_input_tokens": usage["cache_written_tokens"],
            "cache_read_input_tokens": usage["cached_input_tokens"],
            "output_tokens": usage["output_tokens"],
        },
    }


def _is_reply(output: object, key: str) -> bool:
    return isinstance(output, dict) and isinstance(output.get(key), list)


def _text(output: object) -> str:
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


def _message(row: _Row) -> str:
    return f"{row['error']['kind']}: {row['error']['message']}"


def _digest(row: _Row) -> str:
    return blake2b(row["id"].encode(), digest_size=12).hexdigest()


_ENCODERS: Mapping[OutputFormat, Callable[[_Row], _Row]] = MappingProxyType(
    {OutputFormat.OPENAI: _openai, OutputFormat.GEMINI: _gemini, OutputFormat.ANTHROPIC: _anthropic}
)
_STATUS_CODES = {  # numbers of google.rpc.Code
    "CANCELLED": 1,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
}
_GOOGLE_STATUS: Mapping[FaultKind, str] = MappingProxyType(
    {
        FaultKind.THROTTLED: "RESOURCE_EXHAUSTED",
        FaultKind.OVERLOADED: "UNAVAILABLE",
        FaultKind.TRANSIENT: "UNAVAILABLE",
        FaultKind.TIMEOUT: "DEADLINE_EXCEEDED",
        FaultKind.INVALID: "FAILED_PRECONDITION",
        FaultKind.TRUNCATED: "FAILED_PRECONDITION",
        FaultKind.REFUSED: "FAILED_PRECONDITION",
        FaultKind.REJECTED: "INVALID_ARGUMENT",
        FaultKind.DENIED: "PERMISSION_DENIED",
        FaultKind.EXHAUSTED: "RESOURCE_EXHAUSTED",
        FaultKind.BUG: "INTERNAL",
        FaultKind.CANCELLED: "CANCELLED",
        FaultKind.SKIPPED: "CANCELLED",
        FaultKind.PENDING: "CANCELLED",
    }
)
_ANTHROPIC_TYPE: Mapping[FaultKind, str] = MappingProxyType(
    {
        FaultKind.THROTTLED: "rate_limit_error",
        FaultKind.OVERLOADED: "overloaded_error",
        FaultKind.TRANSIENT: "api_error",
        FaultKind.TIMEOUT: "timeout_error",
        FaultKind.INVALID: "api_error",
        FaultKind.TRUNCATED: "api_error",
        FaultKind.REFUSED: "api_error",
        FaultKind.REJECTED: "invalid_request_error",
        FaultKind.DENIED: "permission_error",
        FaultKind.EXHAUSTED: "billing_error",
        FaultKind.BUG: "api_error",
        FaultKind.CANCELLED: "api_error",
        FaultKind.SKIPPED: "api_error",
        FaultKind.PENDING: "api_error",
    }
)
