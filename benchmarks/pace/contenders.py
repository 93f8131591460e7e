"""Contenders: each by name, with what it does about a refusal, and the environment that it needs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import attrs

from .by_engine import CEILING, NewPace, controller, driven_by
from .rules import RULES, Rule, changed_constant
from .rules.cubic import CUBIC
from .world import Drive


@attrs.frozen(kw_only=True)
class Contender:
    """Decides when a call starts."""

    name: str
    label: str
    """Name in tables and plots."""
    about: str
    """Its settings, and what it does with a refused item."""
    drive: Callable[[], Drive]
    """Function that makes a fresh one for a run."""
    backend: str = "trio"
    requirement: tuple[str, ...] = ()
    """Requirements from PyPI, for an environment of its own; empty: it runs in this one."""
    is_rival: bool = True
    within: Callable[[], AbstractContextManager[None]] = nullcontext
    """Function that returns the context in which it is made and runs."""
    pace: NewPace | None = None
    """Function that makes its controller, if it is another one than the engine's default."""
    fingerprint: str = ""
    """Text that changes with what it is made of beside its source files."""


PACELINE = Contender(
    name="paceline",
    label="**paceline**",
    about="The engine with its defaults, and a ceiling of 4,000 workers. A refused item goes back to the front of its lane.",
    drive=lambda: driven_by(None),
    is_rival=False,
)


def _rival(module: str, **settings: Any) -> Callable[[], Drive]:
    """Return a function that makes a rival, imported only where it runs."""
    return lambda: importlib.import_module(f".rivals.{module}", __package__).drive(**settings)


def _pool(workers: int) -> Contender:
    return Contender(
        name=f"fixed{workers}",
        label=f"fixed pool of {workers}",
        about=f"{workers} workers, set by the user. A refused item keeps its worker, which sleeps: 1 s at first, doubling up to "
        "60 s, plus or minus half, or as long as the provider asked; without an end.",
        drive=_rival("fixed", workers=workers),
    )


_INSPECT = "A refused item keeps its connection, which sleeps: 3 s at first, doubling up to 30 min, and up to 3 s more; without an end."
_DESIGNER = (
    "A refused item gives up its lease and is repeated later; nothing starts for the 2 s after a refusal, or for as long as the "
    "provider asked. 503s are repeated three times with the lease held."
)
_NETFLIX = "Re-implemented. A refused item gives up its place and is repeated after the back-off of the fixed pools."
_BOTO = (
    "A refused item keeps its thread, which sleeps for up to 1 s, doubling up to 20 s; then it fails, as it does "
    "when the retry quota is used up."
)
_BATCH = "A refused item keeps its worker; all workers wait for one cool-down, then start slowly."
_INSPECT_AI, _BOTOCORE, _ASYNC_BATCH = ("inspect-ai==0.3.285",), ("botocore==1.44.5",), ("async-batch-llm==0.28.0",)
_DATA_DESIGNER = (
    "--no-deps data-designer-engine==0.9.7",
    "--no-deps data-designer-config==0.9.7",
    "pydantic",
)


def _tuned_batch(workers: int, cooldown: float) -> Contender:
    return Contender(
        name=f"abl-{workers}",
        label=f"async-batch-llm 0.28.0, {workers} workers, cool-down {cooldown:g} s",
        about=f"The same with {workers} workers, a cool-down of {cooldown:g} s (growing to 60 s), no slow start, and 1,000 "
        f"retries of refused items. {_BATCH}",
        drive=_rival(
            "by_async_batch_llm",
            workers=workers,
            rate_limit={"cooldown_seconds": cooldown, "slow_start_items": 0, "max_cooldown_seconds": 60.0},
            max_rate_limit_retries=1_000,
        ),
        backend="asyncio",
        requirement=_ASYNC_BATCH,
    )


def _ondine(name: str, most: int, attempts: int, label: str) -> Contender:
    return Contender(
        name=name,
        label=f"ondine 2.1.1, {label}",
        about=f"Its AdaptiveLimiter (Gradient2), 1 to {most:,} requests in parallel, of which all start at first. A refused row keeps its "
        f"slot, which sleeps for 1 s, doubling up to 60 s; after {attempts:,} attempts it fails.",
        drive=_rival("by_ondine", most=most, attempts=attempts),
        backend="asyncio",
        requirement=("ondine==2.1.1",),
    )


RIVALS = (
    *map(_pool, (5, 20, 100, 500)),
    Contender(
        name="inspect",
        label="inspect_ai 0.3.285, defaults",
        about=f"Its AdaptiveConcurrencyController, 10 to 100 connections. {_INSPECT}",
        drive=_rival("by_inspect_ai"),
        requirement=_INSPECT_AI,
    ),
    Contender(
        name="inspect-4k",
        label="inspect_ai 0.3.285, 1 to 4,000",
        about=f"The same, with `AdaptiveConcurrency(min=1, max=4000)`. {_INSPECT}",
        drive=_rival("by_inspect_ai", min=1, max=CEILING),
        requirement=_INSPECT_AI,
    ),
    Contender(
        name="designer",
        label="Data Designer 0.9.7, defaults",
        about=f"Its AdaptiveRequestAdmissionController, 4 requests in parallel at most. {_DESIGNER}",
        drive=_rival("by_data_designer", most=4),
        requirement=_DATA_DESIGNER,
    ),
    Contender(
        name="designer-4k",
        label="Data Designer 0.9.7, max 4,000",
        about=f"The same, with `max_parallel_requests=4000`. {_DESIGNER}",
        drive=_rival("by_data_designer", most=CEILING),
        requirement=_DATA_DESIGNER,
    ),
    Contender(
        name="designer-ramp",
        label="Data Designer 0.9.7, max 4,000, ramp 60 s",
        about=f"The same, and `startup_ramp_seconds=60`. {_DESIGNER}",
        drive=_rival("by_data_designer", most=CEILING, startup_ramp_seconds=60.0),
        requirement=_DATA_DESIGNER,
    ),
    Contender(
        name="netflix",
        label="Netflix AIMDLimit, defaults (re-implemented)",
        about=f"20 to 200 calls in flight; one that takes over 5 s counts as dropped. {_NETFLIX}",
        drive=_rival("netflix"),
    ),
    Contender(
        name="netflix-4k",
        label="Netflix AIMDLimit, 1 to 4,000, timeout 60 s (re-implemented)",
        about=f"The same with wider bounds. {_NETFLIX}",
        drive=_rival("netflix", least=1, most=CEILING, timeout=60.0),
    ),
    Contender(
        name="botocore",
        label="botocore 1.44.5 adaptive mode, defaults",
        about=f"Its own classes, 10 threads (its connection pool), 3 attempts. {_BOTO}",
        drive=_rival("by_botocore", threads=10, attempts=3),
        requirement=_BOTOCORE,
    ),
    Contender(
        name="botocore-1k",
        label="botocore 1.44.5 adaptive mode, 1,000 threads, 20 attempts",
        about=f"The same with more of both. {_BOTO}",
        drive=_rival("by_botocore", threads=1_000, attempts=20),
        requirement=_BOTOCORE,
    ),
    Contender(
        name="abl",
        label="async-batch-llm 0.28.0, defaults",
        about=f"The library itself: 5 workers, a cool-down of 300 s. {_BATCH}",
        drive=_rival("by_async_batch_llm"),
        backend="asyncio",
        requirement=_ASYNC_BATCH,
    ),
    _ondine("ondine", 5, 3, "defaults, with adaptive concurrency"),
    _ondine("ondine-100", 100, 20, "100 in parallel, 20 attempts"),
    _ondine("ondine-4k", CEILING, 1_000, "4,000 in parallel, 1,000 attempts"),
    _tuned_batch(workers=100, cooldown=10.0),
    _tuned_batch(workers=500, cooldown=1.0),
)
CONTENDERS = {each.name: each for each in (PACELINE, *RIVALS)}


WITHOUT, WITH = "without:", "with:"


def _patched(rule: Rule, name: str) -> Contender:
    return Contender(
        name=name,
        label=name.replace(":", " ", 1),
        about=f"The engine with its defaults, but {rule.how}.",
        drive=lambda: driven_by(None),
        is_rival=False,
        within=rule.switched_off,
        fingerprint=rule.fingerprint,
    )


def contender(name: str) -> Contender:
    """Return a contender by its name, the engine without a rule (`without:rate.patience`), with another value of a constant
    (`with:rate:_CYCLE=7`), with another kind of growth (`cubic`), or with the controller at a dotted path.

    Raises:
        LookupError: There is no such contender.
    """
    if name in CONTENDERS:
        return CONTENDERS[name]
    if name == CUBIC.name:
        return _patched(CUBIC, name)
    if name.startswith(WITHOUT):
        return _patched(RULES[name.removeprefix(WITHOUT)], name)
    if name.startswith(WITH):
        return _patched(changed_constant(name.removeprefix(WITH)), name)
    if ":" not in name:
        raise LookupError(f"{name!r} is neither package.module:controller nor one of {', '.join(CONTENDERS)}")
    pace = controller(name)
    return Contender(
        name=name,
        label=f"`{name}`",
        about=f"The engine with the controller {name}.",
        pace=pace,
        drive=lambda: driven_by(pace),
        is_rival=False,
    )
