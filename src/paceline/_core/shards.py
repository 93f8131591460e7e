"""Shards: which rows of an input a process answers if several processes share the input, and what its files are called.

Rules owned here:

1. Row `r` of an input, counted from 0, belongs to shard `r % count`: to exactly one shard, and to the same one whoever asks. No two
   shards differ by more than one row.
2. Files of a shard have its number before their suffix: `results.jsonl` is `results-00003-of-00008.jsonl`, and its journal
   `results-00003-of-00008.jsonl.journal`. A name that has it stays as it is.
3. The number of a task in an array job is read from the variables that its scheduler sets. Variables that are incomplete, or that contradict
   each other or what the user says, are refused: a wrong guess would leave rows out, or pay for them twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs

from .exceptions import ConfigurationError

MOST_SHARDS: Final = 100_000
"""Shards of one input: more is a mistake, as each process checks the whole input."""

_FORM = "must be INDEX/COUNT, such as 0/8, or auto"
_MARK = re.compile(r"-(\d{5,6})-of-(\d{5,6})$")
_JOURNAL = ".journal"
AUTO: Final = "auto"
"""Stands for the index that the variables of an array job have."""


@attrs.frozen(order=True)
class Shard:
    """One of several equal parts of an input.

    Raises:
        ConfigurationError: The index is not one of `count` shards.
    """

    index: int
    """Number of the part, from 0."""
    count: int
    """Number of parts, 1 or more."""

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.count <= MOST_SHARDS:
            raise ConfigurationError(f"--shard: the count must be 1 to {MOST_SHARDS:,}, not {self.count}")
        if not 0 <= self.index < self.count:
            raise ConfigurationError(
                f"--shard: shards are counted from 0: the index must be 0 to {self.count - 1}, not {self.index}"
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has_row(self, row: int) -> bool:
        """Return whether a row of the input, counted from 0, belongs to it."""
        return row % self.count == self.index

    def rows_of(self, total: int) -> int:
        """Return how many of the first `total` rows belong to it."""
        return (total - self.index + self.count - 1) // self.count if total > self.index else 0

    def path_of(self, path: str) -> str:
        """Return the path of its part of a file."""
        stem, suffix = _split(path)
        mark = f"-{self.index:05}-of-{self.count:05}"
        return path if stem.endswith(mark) else f"{stem}{mark}{suffix}"


def to_shard(value: str | Shard) -> Shard:
    """Parse a shard, `0/8`.

    Raises:
        ConfigurationError: It cannot be parsed, or the index is not one of the count.
    """
    if isinstance(value, Shard):
        return value
    index, slash, count = str(value).strip().partition("/")
    if not slash or not _is_number(index) or not _is_number(count):
        raise ConfigurationError(f"--shard: {_FORM}, not {str(value)!r:.40}")
    return Shard(int(index), int(count))


def shard_of_file(path: str) -> tuple[str, Shard] | None:
    """Return the path that a shard's file was named after, and the shard; None: the name is not one of a shard's."""
    stem, suffix = _split(path)
    found = _MARK.search(stem)
    if found is None:
        return None
    try:
        shard = Shard(int(found[1]), int(found[2]))
    except ConfigurationError:
        return None
    return f"{stem[: found.start()]}{suffix}", shard


def _split(path: str) -> tuple[str, str]:
    """Return a path without its suffix, and the suffix; that of a journal, `.journal`, follows the suffix of its output."""
    output = path.removesuffix(_JOURNAL)
    stem, suffix = os.path.splitext(output)  # noqa: PTH122 - a text
    return stem, suffix + path[len(output) :]


def missing(found: Iterable[Shard], count: int) -> tuple[Shard, ...]:
    """Return the shards of `count` that are not among those found, in their order."""
    known = {shard.index for shard in found}
    return tuple(Shard(index, count) for index in range(count) if index not in known)


# ---------------------------------------------------------------------------------------------- array jobs


@attrs.frozen
class JobTask:
    """One task of an array job, as the variables of its scheduler describe it."""

    scheduler: str
    """Name of the scheduler, for messages."""
    index: int
    """Number of the task, from 0."""
    count: int | None
    """Number of tasks; None: the scheduler does not tell."""
    variables: str
    """The variables that say so, with their values."""


def tasks_of_job(environment: Mapping[str, str]) -> list[JobTask]:
    """Return the task that the environment describes, by each scheduler whose variables are set; empty outside of an array job.

    Raises:
        ConfigurationError: A variable is not a number, or they contradict each other.
    """
    return [task for task in (read(environment) for read in (_kubernetes, _aws, _cloud_run, _slurm)) if task]


def shard_of_job(environment: Mapping[str, str], count: int | None = None) -> Shard:
    """Return the shard of the array job's task that this process is.

    Args:
        environment: Variables of the process.
        count: Number of shards; None: the scheduler's number of tasks, which Kubernetes does not tell.

    Raises:
        ConfigurationError: The process is not such a task, or the variables are incomplete or contradict each other, or `count`.
    """
    found = tasks_of_job(environment)
    if not found:
        raise ConfigurationError(
            "--shard: auto needs the variables of an array job (JOB_COMPLETION_INDEX, AWS_BATCH_JOB_ARRAY_INDEX, CLOUD_RUN_TASK_INDEX or "
            "SLURM_ARRAY_TASK_ID), and none is set: say --shard INDEX/COUNT"
        )
    first = found[0]
    counts = {task.count for task in found if task.count is not None}
    if len({task.index for task in found}) > 1 or len(counts) > 1:
        variables = " and ".join(task.variables for task in found)
        raise ConfigurationError(f"--shard: {variables} contradict each other: say --shard INDEX/COUNT")
    tasks = next(iter(counts), count)
    if tasks is None:
        raise ConfigurationError(
            f"--shard: {first.variables} does not tell how many tasks there are: say --shard auto/COUNT with the job's completions"
        )
    if count is not None and tasks != count:
        raise ConfigurationError(
            f"--shard: {first.variables} means {tasks} tasks, not {count}: say --shard INDEX/COUNT for one of them alone"
        )
    if first.index >= tasks:
        raise ConfigurationError(
            f"--shard: {first.variables} is not one of {tasks} tasks, which are counted from 0: say --shard INDEX/COUNT"
        )
    return Shard(first.index, tasks)


def to_shard_of_job(value: str, environment: Mapping[str, str]) -> Shard:
    """Parse the value of --shard: `0/8`, `auto`, or `auto/8`.

    Raises:
        ConfigurationError: It cannot be parsed, or the environment does not say which shard it is.
    """
    word, slash, count = value.strip().partition("/")
    if word.lower() != AUTO:
        return to_shard(value)
    if slash and not _is_number(count):
        raise ConfigurationError(f"--shard: {_FORM}, not {value!r:.40}")
    if not slash:
        return shard_of_job(environment)
    return shard_of_job(environment, Shard(0, int(count)).count)


def _kubernetes(environment: Mapping[str, str]) -> JobTask | None:
    return _task(environment, "a Kubernetes Job", "JOB_COMPLETION_INDEX", None)


def _aws(environment: Mapping[str, str]) -> JobTask | None:
    return _task(environment, "an AWS Batch array job", "AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE")


def _cloud_run(environment: Mapping[str, str]) -> JobTask | None:
    return _task(environment, "a Cloud Run job", "CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT")


def _slurm(environment: Mapping[str, str]) -> JobTask | None:
    """Return the task of a Slurm array, whose ids may begin and step as the user likes."""
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP")
    task = _task(environment, "a Slurm array job", *names[:2])
    if task is None:
        return None
    least = _number(environment, names[2])
    if least is None and task.count is not None:
        raise ConfigurationError(f"--shard: {task.variables} is set without {names[2]}: say --shard INDEX/COUNT")
    offset, step = task.index - (least or 0), _number(environment, names[3]) or 1
    variables = ", ".join(f"{name}={environment[name]}" for name in names if environment.get(name))
    is_regular = offset >= 0 and offset % step == 0 and (task.count is None or offset // step < task.count)
    if not is_regular or (task.count == 1 and task.index):
        raise ConfigurationError(
            f"--shard: {variables} does not say which part of the whole this task is: say --shard INDEX/COUNT"
        )
    return attrs.evolve(task, index=offset // step, variables=variables)


def _task(environment: Mapping[str, str], scheduler: str, index: str, count: str | None) -> JobTask | None:
    number = _number(environment, index)
    if number is None:
        return None
    many = None if count is None else _number(environment, count)
    set_ones: Iterator[str] = (name for name in (index, count) if name and environment.get(name))
    variables = ", ".join(f"{name}={environment[name]}" for name in set_ones)
    if count is not None and many is None:
        raise ConfigurationError(f"--shard: {variables} is set without {count}: say --shard INDEX/COUNT")
    return JobTask(scheduler, number, many, variables)


def _number(environment: Mapping[str, str], name: str) -> int | None:
    value = environment.get(name, "").strip()
    if not value:
        return None
    if not _is_number(value):
        raise ConfigurationError(f"--shard: {name} must be a whole number, not {value!r:.40}")
    return int(value)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9  # noqa: PLR2004 - digits
