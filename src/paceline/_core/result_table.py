"""Result table: the results of a batch as rows with fixed columns, for programs, and as a pandas frame.

Rules owned here:

1. Every item has one row, in the order of the input, with the same columns, whether it succeeded, failed or is pending.
2. Outputs and contexts are the objects themselves; everything else is plain data.
3. What is not known is None, and in a frame the missing value of its column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from .exceptions import MissingExtraError
from .usage import TOKEN_COUNTS, token_counts

if TYPE_CHECKING:
    import pandas as pd

    from .item_result import WorkItemResult

DTYPES: Final[Mapping[str, str]] = {
    "id": "string",
    "output": "object",
    "success": "bool",
    "error_kind": "string",
    "error_message": "string",
    "model": "string",
    **dict.fromkeys(TOKEN_COUNTS, "int64"),
    "cost": "float64",
    "attempts": "int64",
    "refusals": "int64",
    "seconds": "float64",
    "context": "object",
}
"""The columns in their order, with their types in a pandas frame."""


def rows(results: Iterable[WorkItemResult[Any]]) -> Iterator[dict[str, Any]]:
    """Yield the row of each result, in their order."""
    for result in results:
        yield dict(zip(DTYPES, _values(result), strict=True))


def frame(results: Iterable[WorkItemResult[Any]]) -> pd.DataFrame:
    """Return the rows as a pandas frame.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import numpy as np  # noqa: PLC0415 - comes with pandas
        import pandas as pd  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise MissingExtraError("to_pandas", "pandas") from None
    table = list(rows(results))
    columns: dict[str, Any] = {}
    for name, dtype in DTYPES.items():
        values = [row[name] for row in table]
        if dtype == "string":
            columns[name] = pd.Series([None if value is None else _storable(value) for value in values], dtype=dtype)
        elif dtype == "object":
            column = np.empty(len(values), dtype=object)  # an array would take lists of one length for rows of a table
            for index, value in enumerate(values):
                column[index] = value
            columns[name] = pd.Series(column, dtype=dtype)
        else:
            columns[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(columns)


def _values(result: WorkItemResult[Any]) -> tuple[Any, ...]:
    fault = result.error
    return (
        result.item_id,
        result.output,
        fault is None,
        None if fault is None else str(fault.kind),
        None if fault is None else fault.message,
        result.model,
        *token_counts(result.usage),
        result.cost,
        len(result.attempts),
        result.refusals,
        result.seconds,
        result.context,
    )


def _storable(text: str) -> str:
    """Return a text that Arrow accepts: a lone surrogate is replaced by its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
