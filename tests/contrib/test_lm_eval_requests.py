"""Requests of lm_eval as conversations, and answers as it expects them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import Request
from paceline.contrib.lm_eval.requests import answer_of, conversation_of, ids_of, messages_of, stops_of, template
from paceline.exceptions import ConfigurationError

HISTORY = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]


def settings(model="tiny", **arguments):
    return conversation_of("2 + 2?", arguments, bound=256, model=model).settings


def test_a_history_of_messages_survives_the_context_and_any_other_text_is_one_message():
    assert messages_of(template(HISTORY)) == HISTORY
    for text in ("2 + 2?", '[{"role": broken', "[1, 2]", ""):
        assert messages_of(text) == [{"role": "user", "content": text}]


def test_greedy_decoding_is_a_temperature_of_0():
    assert settings(do_sample=False)["temperature"] == 0
    assert settings()["temperature"] == 0
    assert settings(do_sample=True, temperature=0.8)["temperature"] == 0.8
    assert "temperature" not in settings(do_sample=True)


@pytest.mark.parametrize("name", ["max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"])
def test_the_bound_is_the_tasks_own_by_any_of_its_names_or_else_the_models(name):
    assert settings(**{name: 9})["max_tokens"] == 9
    assert settings()["max_tokens"] == 256


def test_a_service_gets_at_most_four_stop_sequences_none_of_which_is_white_space():
    assert settings(until=["\n\n", "", "a", "b", "c", "d", "e"])["stop_seqs"] == ["a", "b", "c", "d"]
    assert settings(until="END")["stop_seqs"] == ["END"]
    assert "stop_seqs" not in settings(until=["\n\n"])


def test_reasoning_models_get_neither_a_temperature_nor_stop_sequences():
    assert settings("gpt-5-mini", until=["END"], temperature=0).keys() == {"max_tokens"}


def test_an_argument_that_cannot_be_sent_is_refused_by_its_name():
    with pytest.raises(ConfigurationError, match="num_beams cannot be sent"):
        settings(num_beams=4)
    with pytest.raises(ConfigurationError, match="until must be"):
        settings(until=[1])


@given(st.text(), st.lists(st.text(max_size=3), max_size=4))
def test_an_answer_is_the_longest_beginning_of_the_text_without_a_stop_sequence(text, until):
    stops = stops_of({"until": until})
    answer = answer_of(text, stops)
    assert text.startswith(answer)
    assert not any(stop in answer for stop in stops)
    assert answer == text or any(text.startswith(stop, len(answer)) for stop in stops)


def test_thoughts_are_cut_off_before_stop_sequences_count():
    assert answer_of("Hm.\n\n</think> 4\n\nDone", ["\n\n"], think_end_token="</think>") == "4"  # noqa: S106 - no secret


def test_the_ids_of_requests_depend_on_their_contents_alone():
    def asked(text):
        return Request("openai", {"messages": [{"role": "user", "content": text}]})

    first = list(ids_of([asked("a"), asked("b"), asked("a")]))
    assert len(set(first)) == 3
    assert set(ids_of([asked("b"), asked("a"), asked("c")])) & set(first) == {first[0], first[1]}
