"""Work items are validated at construction; the defaults of the ports do nothing."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.exceptions import InvalidWorkItemError
from paceline._core.pace import PaceController
from paceline._core.prompt import Media
from paceline._core.usage import NO_USAGE
from paceline.abc import (
    BaseObserver,
    DefaultErrorClassifier,
    LLMCallStrategy,
    LLMWorkItem,
    Middleware,
    RateController,
)


class Echo(LLMCallStrategy[str]):
    async def execute(self, prompt, attempt, timeout):
        return prompt, NO_USAGE


ECHO = Echo()


class LooksLikeAStrategy:
    async def execute(self, prompt, attempt, timeout):
        return prompt, NO_USAGE


async def a_function(prompt):
    return prompt


def refusal_of(item_id="q7", strategy=ECHO, prompt="Why?"):
    with pytest.raises(InvalidWorkItemError) as refusal:
        LLMWorkItem(item_id, strategy, prompt)
    return str(refusal.value)


# ---------------------------------------------------------------------------------------------- what is taken


@given(st.text(min_size=1).filter(str.strip), st.text(), st.none() | st.integers() | st.lists(st.integers()))
def test_every_valid_argument_is_kept_unchanged(item_id, prompt, context):
    item = LLMWorkItem(item_id=item_id, strategy=ECHO, prompt=prompt, context=context)
    assert item.item_id is item_id
    assert item.strategy is ECHO
    assert item.prompt is prompt
    assert item.context is context


def test_the_context_is_neither_copied_nor_compared_nor_shown():
    class Awkward:
        __hash__ = None

        def __eq__(self, other):
            pytest.fail("the context must not be read")

        def __repr__(self):
            pytest.fail("the context must not be read")

        def __deepcopy__(self, memo):
            pytest.fail("the context must not be read")

        __copy__ = __deepcopy__

    context = Awkward()
    item = LLMWorkItem("q", ECHO, "Why?", context=context)
    assert item.context is context
    assert attrs.evolve(item, prompt="Who?").context is context
    assert item == LLMWorkItem("q", ECHO, "Why?", context=Awkward())
    assert hash(item) == hash(LLMWorkItem("q", ECHO, "Why?"))
    assert "Awkward" not in repr(item)


def test_an_item_never_changes():
    item = LLMWorkItem("q", ECHO, "Why?")
    for name in ("item_id", "strategy", "prompt", "context"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(item, name, getattr(item, name))


def test_the_prompt_is_not_shown():
    assert "Why" not in repr(LLMWorkItem("q", ECHO, "Why?", context="Why not?"))


# ---------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("item_id", ["", " ", "\t\n", None, 7, b"q7", ["q7"]], ids=repr)
def test_an_empty_id_is_refused(item_id):
    assert refusal_of(item_id=item_id) == f"item_id must be a non-empty string, not {item_id!r}"


@pytest.mark.parametrize("prompt", [None, 7, b"Why?", {"role": "user"}, {"Why?"}], ids=repr)
def test_a_prompt_that_is_neither_text_nor_parts_is_refused(prompt):
    wanted = "item 'q7': prompt must be a string, a list of parts or a Request, not " + type(prompt).__name__
    assert refusal_of(prompt=prompt) == wanted


def test_a_part_that_is_neither_text_nor_media_is_refused():
    assert refusal_of(prompt=["What is this?", b"..."]) == "item 'q7': prompt[1] must be a string or Media, not bytes"
    chat = (
        "item 'q7': prompt[0] must be a string or Media, not dict; a chat in a provider's form is Request(\"openai\", "
    )
    assert refusal_of(prompt=[{"role": "user"}]).startswith(chat)
    assert refusal_of(prompt=[]) == "item 'q7': prompt has no parts"


def test_a_list_of_parts_is_kept_as_one_that_cannot_change():
    picture = Media("image/png", b"...")
    assert LLMWorkItem("q7", ECHO, ["What is this?", picture]).prompt == ("What is this?", picture)


@pytest.mark.parametrize(
    ("mime_type", "data", "says"),
    [
        ("png", b"...", "mime_type must be a MIME type such as image/png, not 'png'"),
        (None, b"...", "mime_type must be a MIME type such as image/png, not None"),
        ("image/png", "...", "data must be non-empty bytes, not str"),
        ("image/png", b"", "data must be non-empty bytes, not bytes"),
    ],
)
def test_media_that_cannot_be_sent_is_refused(mime_type, data, says):
    with pytest.raises(InvalidWorkItemError) as refusal:
        Media(mime_type, data)
    assert str(refusal.value) == says


def test_media_come_from_a_file_and_are_not_shown(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"secret")
    media = Media.from_file(tmp_path / "a.pdf")
    assert media == Media("application/pdf", b"secret")
    assert "secret" not in repr(media)
    (tmp_path / "a.unheard").write_bytes(b"...")
    with pytest.raises(
        InvalidWorkItemError, match="no MIME type is known for its first bytes or its suffix; pass mime_type"
    ):
        Media.from_file(tmp_path / "a.unheard")
    assert Media.from_file(tmp_path / "a.unheard", "image/png").mime_type == "image/png"


def test_a_missing_strategy_is_refused():
    wanted = "item 'q7': strategy must be an LLMCallStrategy, not NoneType; pass an instance of a subclass that defines async execute"
    assert refusal_of(strategy=None).startswith(wanted)


def test_the_class_of_a_strategy_is_refused_with_a_hint_to_its_instance():
    wanted = "item 'q7': strategy must be an LLMCallStrategy, not Echo; pass an instance, not the class"
    assert refusal_of(strategy=Echo) == wanted


@pytest.mark.parametrize("function", [a_function, lambda prompt: prompt, print], ids=["async", "lambda", "builtin"])
def test_a_function_is_refused_with_a_hint_to_its_wrapper(function):
    said = refusal_of(strategy=function)
    assert said.startswith("item 'q7': strategy must be an LLMCallStrategy, not ")
    assert said.endswith("; wrap an async function with CallableStrategy(function)")


@pytest.mark.parametrize(
    "thing", ["gemini-2.5-flash", 7, object(), LooksLikeAStrategy()], ids=["str", "int", "object", "duck"]
)
def test_an_object_that_is_not_a_strategy_is_refused_with_a_hint_to_what_one_is(thing):
    name = type(thing).__qualname__
    wanted = f"not {name}; pass an instance of a subclass that defines async execute(prompt, attempt, timeout)"
    assert refusal_of(strategy=thing) == f"item 'q7': strategy must be an LLMCallStrategy, {wanted}"


@given(
    st.one_of(st.none(), st.integers(), st.text(max_size=3)),
    st.one_of(st.none(), st.integers(), st.just(ECHO)),
    st.one_of(st.none(), st.binary(), st.text(max_size=3)),
)
def test_every_argument_is_accepted_or_refused_in_one_sentence(item_id, strategy, prompt):
    right = isinstance(item_id, str) and bool(item_id.strip()) and strategy is ECHO and isinstance(prompt, str)
    if right:
        assert LLMWorkItem(item_id, strategy, prompt)
    else:
        said = refusal_of(item_id, strategy, prompt)
        assert said
        assert "\n" not in said


def test_nothing_may_be_left_out():
    with pytest.raises(TypeError, match="strategy"):
        LLMWorkItem(item_id="q7", prompt="Why?")
    with pytest.raises(TypeError, match="prompt"):
        LLMWorkItem(item_id="q7", strategy=ECHO)


def test_a_wrong_item_is_a_value_error_too():
    with pytest.raises(ValueError, match="item_id"):
        LLMWorkItem("", ECHO, "Why?")


def test_a_changed_copy_is_checked_as_well():
    with pytest.raises(InvalidWorkItemError):
        attrs.evolve(LLMWorkItem("q7", ECHO, "Why?"), prompt=None)


# ---------------------------------------------------------------------------------------------- the ports


def test_a_strategy_must_implement_execute():
    class Idle(LLMCallStrategy[str]):
        pass

    with pytest.raises(TypeError, match="execute"):
        Idle()


def test_a_lane_is_named_after_the_class_and_its_model():
    class Modelled(Echo):
        def __init__(self, model):
            self.model = model  # no super().__init__: a subclass need not call it

    assert Echo().quota == "Echo"
    assert Modelled("m-1").quota.endswith("Modelled:m-1")
    assert Modelled("m-1").quota == Modelled("m-1").quota != Modelled("m-2").quota
    assert Modelled(None).quota.endswith("Modelled")


def test_strategies_classify_errors_by_default():
    assert isinstance(ECHO.error_classifier, DefaultErrorClassifier)
    assert ECHO.model is None


@pytest.mark.anyio
async def test_the_hooks_do_nothing_by_themselves():
    item = LLMWorkItem("q", ECHO, "Why?")
    assert await ECHO.prepare() is None
    assert await ECHO.on_error(ValueError("no"), 1) is None
    assert await ECHO.cleanup() is None
    assert await Middleware().before_process(item) is None
    assert await Middleware().after_process(None) is None
    assert await Middleware().on_retry(item, 1, ValueError("no")) is None
    assert await BaseObserver().on_event(None, {}) is None


def test_the_controller_implements_its_port():
    controller: RateController = PaceController()
    port = {name for name in vars(RateController) if not name.startswith("_")}
    assert port >= {"limit", "rate", "admit_at", "started", "settled", "statistics"}
    assert all(hasattr(controller, name) for name in port)
