"""Fault groups: what makes two faults alike, what is shown of them, and how many are kept."""

from __future__ import annotations

import json
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.fault import Fault, FaultKind
from paceline._core.fault_groups import (
    MOST_GROUPS,
    FaultGroups,
    are_alike,
    comparable,
    group_faults,
    provider_words,
)
from paceline.typing import FaultReason

OPENAI = (
    "NotFoundError: Error code: 404 - {'error': {'message': 'The model `gpt-5-mni` does not exist', 'type': "
    "'invalid_request_error', 'param': None, 'code': 'model_not_found'}, 'request_id': 'req_0%d'}"
)
GEMINI = '404 NOT_FOUND. {"error": {"code": 404, "message": "models/gemini-9 is not found", "status": "NOT_FOUND"}}'

words = st.text(string.ascii_lowercase + " ", max_size=30)
numbers = st.integers(0, 10**12)
kinds = st.sampled_from(FaultKind)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("item 17 is too long", "item 1,234 is too long"),
        ("KeyError: 'alpha'", "KeyError: 'beta'"),
        ('cannot parse "What is\na pace?"', 'cannot parse "Who?"'),
        ("cannot parse `x`", "cannot parse `y`"),
        ("request req_011CTabc failed", "request req_9ffe failed"),
        ("at 2026-11-30T10:00:01.5Z", "at 2026-12-01T09:59:59Z"),
        ("hash 9f86d081884c7d65", "hash 2c26b46b68ffc68f"),
        ("object at 0x7f3a2c", "object at 0x55d0fe"),
        ("prompt 'is cut at the end of the mess", "prompt 'is c"),
        (OPENAI % 1, OPENAI % 2),
    ],
)
def test_messages_that_differ_in_what_varies_with_the_item_are_alike(one, other):
    assert are_alike(Fault(FaultKind.REJECTED, one), Fault(FaultKind.REJECTED, other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the model does not exist", "the prompt is too long"),
        ("it doesn't work, isn't it", "it doesn't start, isn't it"),
    ],
)
def test_messages_that_say_something_else_are_not_alike(one, other):
    assert not are_alike(Fault(FaultKind.REJECTED, one), Fault(FaultKind.REJECTED, other))


def test_faults_of_different_kinds_are_not_alike():
    assert not are_alike(Fault(FaultKind.REJECTED, "no"), Fault(FaultKind.BUG, "no"))


@given(words, numbers, numbers, words)
def test_numbers_never_tell_two_messages_apart(before, one, other, after):
    assert comparable(f"{before} {one} {after}") == comparable(f"{before} {other} {after}")


@given(
    words,
    st.text(st.characters(exclude_characters='"'), max_size=300),
    st.text(st.characters(exclude_characters='"'), max_size=300),
)
def test_quoted_text_never_tells_two_messages_apart(before, one, other):
    assert comparable(f'{before} "{one}"') == comparable(f'{before} "{other}"')


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (OPENAI % 1, "404: The model `gpt-5-mni` does not exist"),
        (GEMINI, "404: models/gemini-9 is not found"),
        ("ValueError: two\n lines", "ValueError: two lines"),
        ("""BadRequestError: 400 {"message": "it's \\"bad\\""}""", """400: it's "bad\""""),
        ("""a body {'message': ''} without words""", "a body"),
        ("", ""),
    ],
)
def test_the_words_of_the_provider_are_shown_in_one_line(message, shown):
    assert provider_words(message) == shown


@given(st.text("secret words", min_size=12), st.sampled_from([str, json.dumps]), st.booleans())
def test_data_and_pages_in_which_a_server_echoes_the_prompt_are_not_shown(prompt, written, is_busy):
    request = {"model": "m", "messages": [{"role": "user", "content": f"SECRET {prompt}"}]}
    status = "busy" if is_busy else "503 None."
    for message in (
        f"ServerError: {status} {written(request)}",
        f"InternalServerError: Error code: 503 - {written({'input': request})}",
        f"InternalServerError: Error code: 503 - {written({'detail': 'busy', 'input': request})}",
        str({"message": f"overloaded: {json.dumps(request)}", "code": 503}),
        f"503: <html><body><pre>{json.dumps(request)}</pre></body></html>",
        json.dumps([request]),
    ):
        assert "SECRET" not in provider_words(message)
        assert provider_words(message)


def test_of_an_echo_the_sentence_before_it_is_shown():
    assert provider_words("ServerError: 503 None. {'detail': 'busy', 'input': {'a': 1}}") == "503: busy"
    assert provider_words('502: upstream is down: {"input": "text"}') == "502: upstream is down"


@given(st.text(max_size=3_000))
def test_any_message_is_shown_in_one_line_of_bounded_length(message):
    shown = provider_words(message)
    assert len(shown) <= 160
    assert len(shown.splitlines()) <= 1
    assert len(comparable(message)) <= 200


def test_a_secret_is_not_shown():
    fault = Fault(FaultKind.REJECTED, "bad key sk-0123456789abcdefghijkl in the request")
    (group,) = group_faults([(fault.kind, fault.message, 1, None)])
    assert group.message == "bad key [redacted] in the request"


@given(st.lists(st.tuples(kinds, st.sampled_from(["a", "b", "c 1", "c 2", "d"]))))
def test_groups_count_what_a_counter_counts(faults):
    groups = FaultGroups()
    for kind, message in faults:
        groups.add(kind, message)
    expected = Counter((kind, comparable(message)) for kind, message in faults)
    found = groups.most_frequent(100)
    assert {(group.kind, comparable(group.message)): group.count for group in found} == expected
    assert [group.count for group in found] == sorted(expected.values(), reverse=True)


@given(st.lists(st.tuples(kinds, st.sampled_from(["a", "b", "c"]), st.integers(1, 9)), max_size=20), st.integers(0, 20))
def test_the_sum_of_two_parts_has_the_counts_of_the_whole(faults, cut):
    whole, parts = FaultGroups(), (FaultGroups(), FaultGroups())
    for index, (kind, message, count) in enumerate(faults):
        whole.add(kind, message, count)
        parts[index >= cut].add(kind, message, count)
    parts[0].update(parts[1])
    assert sorted(parts[0].most_frequent(99), key=str) == sorted(whole.most_frequent(99), key=str)


def test_memory_is_bounded_and_a_frequent_message_is_found_among_many_rare_ones():
    groups = FaultGroups()
    letters = string.ascii_lowercase
    for index, (one, two, three) in enumerate((a, b, c) for a in letters for b in letters for c in letters[:3]):
        groups.add(FaultKind.BUG, f"rare {one}{two}{three}")
        if index % 3 == 0 and index > 500:
            groups.add(FaultKind.REJECTED, "frequent")
    assert len(groups) == MOST_GROUPS
    (top,) = groups.most_frequent(1)
    assert (top.kind, top.message) == (FaultKind.REJECTED, "frequent")
    assert top.count > 500


def test_a_group_has_the_first_reason_that_is_known():
    groups = FaultGroups()
    for reason in (None, FaultReason.TOO_LARGE, None):
        groups.add(FaultKind.REJECTED, "no", reason=reason)
    assert [(group.count, group.reason) for group in groups.most_frequent()] == [(3, FaultReason.TOO_LARGE)]
