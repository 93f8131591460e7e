"""Faults: they describe a failure, and never contain a secret."""

from __future__ import annotations

import string

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from paceline._core.fault import Fault, FaultKind, redact

WORD = string.ascii_letters + string.digits + "_-"

google_keys = st.text(WORD, min_size=35, max_size=35).map("AIza{}".format)
dashed_keys = st.builds(
    "{}-{}{}".format,
    st.sampled_from(["sk", "pk", "rk"]),
    st.sampled_from(["", "proj-", "ant-api03-", "or-v1-"]),
    st.text(WORD, min_size=20, max_size=80),
)
bearer_tokens = st.text(string.ascii_letters + string.digits + "._~+/=-", min_size=20, max_size=200)
letters = tuple(string.ascii_letters + "\u017f\u212a")  # the last two match s and k if case is ignored


@given(st.text(), google_keys, st.text())
@example("key", "AIzaSy" + "A" * 33, "")
@example("key_", "AIzaSy" + "A" * 33, "_")
def test_a_google_key_never_leaks(before, key, after):
    assert key not in redact(before + key + after)


@given(st.text(), dashed_keys, st.text())
@example("密钥", "sk-proj-" + "a" * 20, "错误")
@example("key_", "sk-" + "1" * 20, "")
@example("%20", "sk-" + "1" * 20, "")
@example('{"message": "bad key\\n', "sk-" + "1" * 20, '"}')
def test_a_dashed_key_never_leaks(before, key, after):
    assume(not before.endswith(letters) or before.endswith(("\\n", "\\r", "\\t")))
    assert key not in redact(before + key + after)


@given(
    st.text(),
    st.sampled_from(["Bearer", "bearer", "BEARER"]),
    st.text(" \t\n\u00a0", min_size=1, max_size=5),
    bearer_tokens,
    st.text(),
)
def test_a_bearer_token_never_leaks(before, bearer, space, token, after):
    redacted = redact(before + bearer + space + token + after)
    assume(token not in before + bearer + space + after)
    assert token not in redacted


@given(st.text(st.characters(exclude_characters="&\"'", exclude_categories=["Z", "C"]), min_size=1))
def test_a_key_in_a_query_never_leaks(key):
    url = "https://example.org/v1/models?key=" + key
    assert redact(url) == "https://example.org/v1/models?key=[redacted]"


def test_the_text_around_a_secret_is_kept():
    key = "AIza" + "x" * 35
    assert redact(f"API key {key} not valid.") == "API key [redacted] not valid."
    assert redact("Authorization: Bearer abcdefgh.ijk, sent") == "Authorization: Bearer [redacted], sent"
    assert redact(f"POST /v1?key={key}&alt=sse: 400") == "POST /v1?key=[redacted]&alt=sse: 400"
    assert redact(f'{{"key": "sk-ant-{"x" * 20}"}}') == '{"key": "[redacted]"}'


def test_every_secret_in_a_text_is_replaced():
    text = " ".join(f"sk-{digit * 20}" for digit in "123")
    assert redact(text) == "[redacted] [redacted] [redacted]"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the model is overloaded",
        "item 'task-0123456789abcdef0123': desk-0123456789abcdef0123",
        "sk-short",
        "a bearer of news",
        "AIza is how their keys begin",
        "the monkey=banana is no query",
    ],
)
def test_text_without_secrets_is_unchanged(text):
    assert redact(text) == text


@given(st.text() | st.text().map(lambda text: text * 500))
@example("x" * 2_000)
@example("x" * 2_001)
@example("密" * 10**5)
def test_a_message_is_never_longer_than_its_bound(text):
    message = redact(text)
    assert len(message) <= 2_000
    assert len(text) <= 2_000 or len(message) == 2_000 or "[redacted]" in message


def test_a_message_of_exactly_the_bound_is_complete_and_a_longer_one_is_marked_as_cut():
    assert redact("x" * 2_000) == "x" * 2_000
    assert redact("x" * 2_001) == "x" * 1_999 + "…"


def test_a_secret_across_the_bound_is_not_cut_in_half():
    assert "AIza" not in redact("x" * 1_980 + " AIza" + "y" * 35)


# ---------------------------------------------------------------------------------------------- the record


@given(st.sampled_from(FaultKind), google_keys)
def test_a_fault_carries_no_secret_however_it_is_made(kind, key):
    fault = Fault(kind, f"refused: {key}")
    assert key not in f"{fault} {fault!r} {attrs.evolve(Fault(kind), message=key)!r}"


@pytest.mark.parametrize("kind", FaultKind)
def test_the_text_of_a_fault_is_its_kind_and_message(kind):
    assert str(Fault(kind, "it is late")) == f"{kind.value}: it is late"
    assert str(Fault(kind)) == kind.value


@pytest.mark.parametrize("kind", ["throttled", "nonsense", None, 429], ids=repr)
def test_only_a_fault_kind_is_accepted_as_kind(kind):
    with pytest.raises(TypeError):
        Fault(kind)


def test_a_fault_is_immutable_and_compares_by_value():
    fault = Fault(FaultKind.TIMEOUT, "120 s", retry_after=1.0)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        fault.message = "other"
    assert fault == Fault(FaultKind.TIMEOUT, "120 s", 1.0)
    assert len({fault, Fault(FaultKind.TIMEOUT, "120 s", 1.0)}) == 1


def test_kinds_are_written_as_documented():
    assert [str(kind) for kind in FaultKind] == [kind.name.lower() for kind in FaultKind]
