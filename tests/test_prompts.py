"""`run_prompts`: batches from code that is not async, on either event loop."""

from __future__ import annotations

import logging
import signal
import sys
from types import SimpleNamespace

import anyio
import attrs
import pytest
import sniffio

from paceline import CallableStrategy, ProcessorConfig, open_pool, open_stream, process_prompts, run_prompts
from paceline.exceptions import ConfigurationError, SourceError

BACKENDS = ("trio", "asyncio")


async def name_loop(prompt):
    return f"{prompt} on {sniffio.current_async_library()}"


LOOP = CallableStrategy(name_loop)


def outputs(batch):
    return [result.output for result in batch.in_input_order()]


def test_the_sync_form_runs_on_trio_by_default():
    assert outputs(run_prompts(LOOP, (letter for letter in "ab"))) == ["a on trio", "b on trio"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_sync_form_runs_on_the_event_loop_that_is_named(backend):
    assert outputs(run_prompts(LOOP, ["a"], backend=backend)) == [f"a on {backend}"]


@pytest.mark.parametrize("backend", ["curio", "", None, "Trio"])
def test_another_event_loop_is_refused_before_a_call(backend):
    with pytest.raises(ConfigurationError, match="backend must be 'trio' or 'asyncio', not "):
        run_prompts(LOOP, ["a"], backend=backend)


@pytest.mark.parametrize("outer", BACKENDS)
@pytest.mark.parametrize("inner", BACKENDS)
def test_inside_an_event_loop_it_works_in_another_thread_and_says_what_to_use(outer, inner, caplog):
    async def main():
        return run_prompts(LOOP, ["a"], backend=inner)

    assert outputs(anyio.run(main, backend=outer)) == [f"a on {inner}"]
    (message,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert message.endswith("in async code use: await process_prompts(...)")


def test_in_a_notebook_and_in_a_script_nothing_is_said(monkeypatch, caplog):
    run_prompts(LOOP, ["a"])
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=object))

    async def cell():
        return run_prompts(LOOP, ["a"])

    assert outputs(anyio.run(cell, backend="asyncio")) == ["a on trio"]
    assert not caplog.records


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupt_cancels_the_calls_and_is_a_keyboard_interrupt(backend):
    cancelled = []

    async def interrupt(prompt):
        if prompt == "second":
            signal.raise_signal(signal.SIGINT)
        try:
            await anyio.sleep(60)
        except anyio.get_cancelled_exc_class():
            cancelled.append(prompt)
            raise

    with pytest.raises(KeyboardInterrupt):
        run_prompts(CallableStrategy(interrupt), ["first", "second"], backend=backend)
    assert "first" in cancelled


@pytest.mark.parametrize("backend", BACKENDS)
def test_exceptions_are_those_of_process_prompts(backend):
    with pytest.raises(SourceError, match="no more rows"):
        run_prompts(LOOP, _failing(), backend=backend)


def _failing():
    yield "a"
    raise OSError("no more rows")


@pytest.mark.parametrize(
    "name", [field.name for field in attrs.fields(ProcessorConfig) if field.init and field.name != "budget"]
)
def test_a_setting_that_is_given_as_an_argument_says_where_it_goes(name):
    value = getattr(ProcessorConfig(), name)
    with pytest.raises(TypeError) as raised:
        run_prompts(LOOP, ["a"], **{name: value})
    assert str(raised.value) == f"{name} is a setting: pass config=ProcessorConfig({name}={value!r})"


@pytest.mark.anyio
async def test_several_settings_are_named_together_and_streams_and_awaited_batches_say_it_too():
    words = r"max_workers and deadline are settings: pass config=ProcessorConfig\(max_workers=5, deadline=60\)"
    with pytest.raises(TypeError, match=words):
        await process_prompts(LOOP, ["a"], max_workers=5, deadline=60)
    with pytest.raises(TypeError, match=words):
        async with open_stream(LOOP, ["a"], max_workers=5, deadline=60):
            pass
    with pytest.raises(TypeError, match=words):
        open_pool(max_workers=5, deadline=60)
    with pytest.raises(TypeError, match="unexpected keyword argument 'max_wokers'"):
        open_pool(max_wokers=5)
