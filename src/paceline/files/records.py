"""Reading prompts from a file: `read`, and the records that it returns.

1. `read` opens nothing. Each iteration opens the file, and closes it when it ends or is dropped.
2. With `bad_lines="raise"` or `"skip"` the file is checked to its last line when the iteration begins, before the first record is
   yielded: a wrong line is found before the first call is paid for.
3. With `bad_lines="yield"` the file is read once, as the records are needed, and checked line by line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar, cast, overload

import attrs

from .._core.exceptions import ConfigurationError
from .._core.validators import OneOf, WholeNumber
from .input import examine_input, open_input
from .lines import python_encoding
from .types import BadLine, InputKind, InputKindName, InputRecord, Reading

R_co = TypeVar("R_co", bound=InputRecord | BadLine, covariant=True)

BadLines: TypeAlias = Literal["raise", "skip", "yield"]
"""What `read` does with bad lines."""


def path_text(path: object) -> str:
    """Return a path as text.

    Raises:
        ConfigurationError: It is not a path.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str) or not text:
        raise ConfigurationError(f"path must be a non-empty string or a path, not {path!r}")
    return text


def _to_kind(value: object) -> InputKind | None:
    if value is None:
        return None
    OneOf(tuple(InputKind)).check("format", value)
    return InputKind(cast(str, value))


def _is_text_or_none(_: object, attribute: attrs.Attribute[str | None], value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{attribute.name} must be a string or None, not {value!r}")


def _is_encoding_or_none(_: object, attribute: attrs.Attribute[str | None], value: object) -> None:
    _is_text_or_none(_, attribute, value)
    python_encoding(cast("str | None", value))


def _is_bool(_: object, attribute: attrs.Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{attribute.name} must be True or False, not {value!r}")


_AT_LEAST_ONE = attrs.validators.optional(WholeNumber(at_least=1))


@attrs.frozen(kw_only=True)
class Records(Generic[R_co]):
    """The prompts of a file, made by `read`; an iterable that reads the file again at each iteration (stdin and pipes only once).

    Raises:
        ConfigurationError: An option is not valid; the message names it and its bound.
    """

    path: str = attrs.field(converter=path_text)
    """Path of the file; "-" for stdin."""
    prompt: str | None = attrs.field(default=None, validator=_is_text_or_none)
    """Template of the prompts, with columns or JSON fields in braces; None: they are in the field `prompt`."""
    format: InputKind | None = attrs.field(default=None, converter=_to_kind)
    """Format; None: by the file's name and first line."""
    id_column: str | None = attrs.field(default=None, validator=_is_text_or_none)
    """Column or field with the ids; "": records are numbered. None: `id`, in any case."""
    encoding: str | None = attrs.field(default=None, validator=_is_encoding_or_none)
    """Encoding of a text file, a name of Python's; None: UTF-8."""
    skip_empty: bool = attrs.field(default=False, validator=_is_bool)
    """Whether records are left out in which a field of the prompt is empty or null."""
    limit: int | None = attrs.field(default=None, validator=_AT_LEAST_ONE)
    """Most prompts: the first ones. None: all."""
    sample: int | None = attrs.field(default=None, validator=_AT_LEAST_ONE)
    """Most prompts, drawn at random from what `limit` leaves; None: all."""
    bad_lines: BadLines = attrs.field(default="raise", validator=OneOf(("raise", "skip", "yield")))
    """What happens with bad lines; see `read`."""

    has_unique_ids: ClassVar[bool] = True
    """A record with a repeated id is a bad line, so a batch need not remember the ids."""

    def __attrs_post_init__(self) -> None:
        if self.sample is not None and self.bad_lines == "yield":
            raise ConfigurationError("sample must be None with bad_lines='yield': a sample is drawn after the check")

    def __iter__(self) -> Iterator[R_co]:
        """Open the file and yield its records.

        Raises:
            InputError: The file cannot be read, has no prompts, or has bad lines while `bad_lines` is "raise"; also, while
                iterating, if the file changes, or cannot be read to its end.
            MissingExtraError: The file is Parquet, and pyarrow is not installed.
        """
        reading = self._read()
        next(reading)  # opens and checks the file now, so that iter() raises what is wrong with it
        return cast(Iterator[R_co], reading)

    def _read(self) -> Iterator[InputRecord | BadLine | None]:
        with self._open() as records:
            yield None
            yield from records

    @contextmanager
    def _open(self) -> Iterator[Iterator[InputRecord | BadLine]]:
        if self.bad_lines == "yield":
            reading = Reading(
                kind=self.format,
                template=self.prompt,
                id_column=self.id_column,
                encoding=python_encoding(self.encoding),
                skip_empty=self.skip_empty,
            )
            with examine_input(self.path, reading, limit=self.limit) as found:
                yield found
            return
        with open_input(
            self.path,
            kind=self.format,
            template=self.prompt,
            id_column=self.id_column,
            encoding=self.encoding,
            skip_empty=self.skip_empty,
            limit=self.limit,
            sample=self.sample,
            strict=self.bad_lines == "raise",
        ) as checked:
            yield iter(checked)


@overload
def read(
    path: str | os.PathLike[str],
    *,
    prompt: str | None = None,
    format: InputKind | InputKindName | None = None,
    id_column: str | None = None,
    encoding: str | None = None,
    skip_empty: bool = False,
    limit: int | None = None,
    sample: int | None = None,
    bad_lines: Literal["raise", "skip"] = "raise",
) -> Records[InputRecord]: ...


@overload
def read(
    path: str | os.PathLike[str],
    *,
    prompt: str | None = None,
    format: InputKind | InputKindName | None = None,
    id_column: str | None = None,
    encoding: str | None = None,
    skip_empty: bool = False,
    limit: int | None = None,
    sample: None = None,
    bad_lines: Literal["yield"],
) -> Records[InputRecord | BadLine]: ...


def read(  # noqa: PLR0913 - all but the path have good defaults
    path: str | os.PathLike[str],
    *,
    prompt: str | None = None,
    format: InputKind | InputKindName | None = None,  # noqa: A002 - the word that users look for
    id_column: str | None = None,
    encoding: str | None = None,
    skip_empty: bool = False,
    limit: int | None = None,
    sample: int | None = None,
    bad_lines: BadLines = "raise",
) -> Records[Any]:
    """Read prompts from a file.

        results = await process_prompts(strategy, files.read("reviews.csv", prompt="Classify: {text}"))

    Each record has an `id`, a `prompt`, a `context` that comes back with the result, and its place in the file. Memory does not
    grow with the file. Reading blocks the event loop for as long as the disk takes; the check of a million lines takes seconds.

    Args:
        path: Path of the file; "-" for stdin.
        prompt: Template of the prompts, with names of columns or JSON fields in braces, such as "Classify: {text}". None: the
            prompts are in the column or field `prompt`.
        format: Format: "jsonl", "json", "text", "openai", "gemini", "anthropic", "csv" or "parquet". None: by the file's suffix,
            and for lines of JSON by the first line.
        id_column: Column or field with the ids; "": the records are numbered. None: `id` in any case; records without one
            are numbered.
        encoding: Encoding of a text file, a name of Python's such as "cp1252" or "utf-16". None: UTF-8.
        skip_empty: Whether records are left out in which a field of the prompt is empty or null.
        limit: Most prompts, at least 1: the first ones. None: all.
        sample: Most prompts, at least 1, drawn at random from what `limit` leaves; the same file gives the same sample. None: all.
        bad_lines: "raise": raise an `InputError` with the first ten bad lines when the iteration begins, before any record is
            yielded. "skip": leave them out. "yield": yield a `BadLine` in the place of each; the file is read only once, so that
            records are there at once, also those of a pipe. A repeated id makes a line bad.

    Raises:
        ConfigurationError: An option is not valid; the message names it and its bound.
    """
    return Records(
        path=path,
        prompt=prompt,
        format=format,
        id_column=id_column,
        encoding=encoding,
        skip_empty=skip_empty,
        limit=limit,
        sample=sample,
        bad_lines=bad_lines,
    )
