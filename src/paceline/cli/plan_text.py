"""Plans: what a run would do, for people in a few lines, for machines as one object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import attrs

from .._core.printable import printable
from .._core.quantity import quantity, verb
from ..runs.dry_run import RunPlan
from ..runs.item_registry import render_sharing
from ..runs.journal_comparison import JournalState
from ..runs.options import RunOptions
from ..runs.setup import schema_of
from .estimate_text import estimate_data, estimate_lines

_STATES = {
    "new": "new",
    "empty": "empty",
    "continued": "continued: it belongs to the journal",
    "replaced": "its content is replaced",
    "stream": "a stream",
}

_SHOWN_CHARACTERS = 200  # of the first prompt


def render_plan(plan: RunPlan) -> str:
    """Return a plan in lines for people."""
    return "\n".join(f"{label:10}{text}" for label, text in _lines(plan))


def render_estimate(plan: RunPlan) -> str:
    """Return the estimate of a plan in lines for people."""
    lines = [*_input_lines(plan), *_call_lines(plan)]
    lines += [("then" if index else "model", model.name) for index, model in enumerate(plan.models)]
    lines += estimate_lines(plan.estimate)
    return "\n".join(f"{label:10}{text}" for label, text in lines)


def plan_data(plan: RunPlan) -> dict[str, Any]:
    """Return a plan as data that JSON can hold; its keys are documented, and stay."""
    usage = plan.usage
    return {
        "input": {
            "name": plan.source,
            "kind": plan.kind,
            "prompts": plan.prompts,
            "bad_lines": plan.bad_count,
            "notes": [*plan.notes],
            "problems": [{"line": bad.line, "row": bad.position, "reason": bad.reason} for bad in plan.bad],
        },
        "wanted": plan.wanted,
        "calls": plan.calls,
        "repeats": plan.repeats,
        "models": [
            {
                "model": model.name,
                "quota": model.quota,
                "server": model.server,
                "price": None if model.price is None else attrs.asdict(model.price),
                "cost": model.cost,
            }
            for model in plan.models
        ],
        "max_workers": plan.options.max_workers,
        "settings": plan.options.settings,
        "system": plan.options.system,
        "schema": plan.options.schema,
        "output": {"path": plan.output, "form": plan.options.output_format, "state": plan.output_state},
        "journal": {
            "path": plan.journal,
            "state": None if plan.journal_state is None else _state_data(plan.journal_state),
        },
        "tokens": {
            "input": usage.input_tokens,
            "cached_input": usage.cached_input_tokens,
            "output": usage.output_tokens,
        },
        "cost": plan.cost,
        "estimate": estimate_data(plan.estimate),
        "missing_keys": [*plan.missing_keys],
    }


def _lines(plan: RunPlan) -> Iterator[tuple[str, str]]:
    options = plan.options
    yield "plan", "nothing is called, nothing is written"
    yield from _input_lines(plan)
    if plan.example is not None:
        yield "prompt", _one_line(plan.example)
    yield from _call_lines(plan)
    yield from _model_lines(plan)
    if options.settings:
        yield "settings", render_settings(options)
    if options.system is not None:
        shared = ", shared in a context cache" if options.cache else ""
        yield "system", f"{options.system}: {quantity(plan.system_characters, 'character')}{shared}"
    if options.schema is not None:
        yield "schema", f"{options.schema}: {schema_of(options.schema).name}"
    if options.is_native:
        rest = (
            "" if options.by is None else f"; what is not answered in time is called online before {_clock(options.by)}"
        )
        yield "sent", f"in jobs of the provider's batch API, whose answers may take a day{rest}"
    else:
        yield "workers", f"at most {options.max_workers:,}; their number and the pace are found during the run"
    yield "output", f"{plan.output} ({_STATES[plan.output_state]}), format {options.output_format}"
    yield from _journal_lines(plan)
    yield from estimate_lines(plan.estimate, is_native=options.is_native)


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M}"


def _model_lines(plan: RunPlan) -> Iterator[tuple[str, str]]:
    for index, model in enumerate(plan.models):
        yield ("then" if index else "model"), f"{model.name}, lane {model.quota}"
        if model.server is not None:
            yield "", f"  called at {model.server}"
    for missing in plan.missing_keys:
        yield "", f"  a run would be refused: {missing}"


def _call_lines(plan: RunPlan) -> Iterator[tuple[str, str]]:
    yield "calls", f"{plan.calls:,}"
    if same := plan.wanted - plan.calls:
        yield "", f"  {render_sharing(same, plan.wanted)}"
    elif plan.repeats and plan.journal is not None:
        several = "are the same as another and have calls of their own; --dedupe calls once for them"
        own = verb(
            plan.repeats, "is the same as another and has a call of its own; --dedupe calls once for both", several
        )
        yield "", f"  {quantity(plan.repeats, 'prompt')} {own}"


def render_settings(options: RunOptions) -> str:
    """Return the settings of a run's models, as they were given."""
    given = options.settings
    texts = [f"{name} {value}" for name, value in given.items() if name != "options"]
    texts += [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.get("options", {}).items()]
    return ", ".join(texts)


def _input_lines(plan: RunPlan) -> Iterator[tuple[str, str]]:
    bad = f"; {quantity(plan.bad_count, 'invalid line')} {verb(plan.bad_count)} skipped" if plan.bad_count else ""
    yield "input", f"{plan.source}: {quantity(plan.prompts, 'prompt')} ({plan.kind}){bad}"
    for one in plan.bad:
        yield "", f"  {one}"
    if plan.bad_count > len(plan.bad):
        yield "", f"  and {plan.bad_count - len(plan.bad):,} more"
    for note in plan.notes:
        yield "", f"  {note}"


def _one_line(prompt: str) -> str:
    """Return the beginning of a prompt in one line that a terminal can show."""
    text = " ".join(prompt[: 2 * _SHOWN_CHARACTERS].split())
    if len(text) > _SHOWN_CHARACTERS or len(prompt) > 2 * _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS].rstrip()}…"
    return printable(text)


def _journal_lines(plan: RunPlan) -> Iterator[tuple[str, str]]:
    if plan.journal is None:
        yield "journal", "none: the run cannot be resumed"
        return
    state = plan.journal_state
    yield "journal", plan.journal + (" (new)" if state is None else "")
    if state is None:
        return
    counts = state.counts
    failed = sum(counts.failures.values())
    yield (
        "",
        f"  {quantity(counts.total, 'item')}: {counts.succeeded:,} succeeded, {failed:,} failed, {counts.pending:,} pending",
    )
    if failed:
        yield "", f"  {quantity(state.again, 'failed item')} {verb(state.again)} run again"
    if state.new and counts.total:
        yield "", f"  {quantity(state.new, 'new item')} {verb(state.new)} added"
    for change in state.changes:
        yield "", f"  changed: {change}"
    if state.changes and not state.is_accepted:
        yield (
            "",
            "  a run would be refused: say --allow-changes to accept this, or start again with another --journal",
        )
    if state.writer is not None:
        yield "", f"  a run would be refused: the journal is being written by process {state.writer}"


def _state_data(state: JournalState) -> dict[str, Any]:
    counts = state.counts
    return {
        "items": counts.total,
        "succeeded": counts.succeeded,
        "failures": dict(sorted(counts.failures.items())),
        "pending": counts.pending,
        "again": state.again,
        "new": state.new,
        "changes": [*state.changes],
        "writer": state.writer,
        "refused": state.is_refused,
    }
