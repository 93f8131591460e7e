"""What the scorers read from answers."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paceline.exceptions import ConfigurationError
from paceline.suites.scorers import (
    choice,
    chosen_letter,
    exact,
    final_number,
    json_fields,
    matches,
    normalised,
    numeric,
)
from paceline.suites.suite import Question, Score

SCORERS = [exact, normalised, numeric, choice, matches("{target}"), json_fields({"a": 1})]


def asked(target):
    return Question("1", {}, target)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("She has 3 + 4 = 7 apples.", "7"),
        ("It costs $1,250.00.", "1250"),
        ("work: 10, 20\n#### 1,234", "1234"),
        ("#### 5\n(checked: 5 = 10 / 2)", "5"),
        (r"so 3 and 4 give \boxed{42}. That is 6 times 7.", "42"),
        ("between 3-5", "5"),
        ("-17", "-17"),
        ("a loss of -1.5e3 dollars", "-1500"),
        ("12%", "12"),
        ("only .5 left", "0.5"),
        ("x2 is a name", None),
        ("none", None),
        ("1e999999999", None),
        ("9" * 1000, None),
    ],
)
def test_the_final_number_of_an_answer(text, number):
    assert final_number(text) == (None if number is None else Decimal(number))


@given(
    st.integers(-(10**12), 10**12), st.sampled_from(["", "$", "about "]), st.sampled_from(["", ".", " dollars.", "!\n"])
)
def test_a_number_is_read_however_it_is_written(number, before, after):
    for written in (str(number), f"{number:,}", f"{number}.0"):
        assert final_number(f"2 and 2 are 4, so {before}{written}{after}") == number


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("B.", "B"),
        ("(c)", "C"),
        ("**D**", "D"),
        ("C) Paris", "C"),
        ("A: because it is", "A"),
        ("The answer is B because of gravity.", "B"),
        ("The answer is A because of gravity.", "A"),
        ("The correct answer is: (b).", "B"),
        ("Answer: C\n", "C"),
        ("First I thought the answer is A. But the answer is (D).", "D"),
        ("The answer is a good question.", None),
        ("I think that it must be C.", "C"),
        ("A good question", None),
        ("I do not know", None),
        ("", None),
    ],
)
def test_the_letter_that_an_answer_chooses(text, letter):
    assert chosen_letter(text) == letter


@pytest.mark.parametrize(
    ("scorer", "target", "output", "value"),
    [
        (exact, "Paris", " Paris\n", 1),
        (exact, "Paris", "paris", 0),
        (exact, ["Paris", "Lutetia"], "Lutetia", 1),
        (normalised, "The Beatles", "beatles!", 1),
        (normalised, "Beatles", "the Rolling Stones", 0),
        (numeric, "18", "<think>17? no, 19</think>It is 18", 1),
        (numeric, 18, "#### 18.00", 1),
        (numeric, "18", "eighteen", 0),
        (choice, "B", "<think>the answer is A</think>(B)", 1),
        (matches(r"\b{target}\b"), "a.c", "we find a.c here", 1),
        (matches(r"\b{target}\b"), "a.c", "we find abc here", 0),
        (matches(r"^def \w+"), None, "def f(): ...", 1),
        (json_fields(), {"a": 1, "b": "x"}, 'Here: {"a": 1.0, "b": " x "}', 1),
        (json_fields({"a": 3, "b": 1}), {"a": 1, "b": 2}, {"a": 1, "b": 3}, 0.75),
        (json_fields(), {"a": 1}, "no JSON", 0),
    ],
)
def test_scores(scorer, target, output, value):
    score = scorer(asked(target), output)
    assert score.value == value
    assert score.explanation


def test_a_pattern_that_would_take_for_ever_is_no_match():
    score = matches(r"^(a|aa)+$")(asked(None), "a" * 200 + "b")
    assert score.value == 0
    assert "takes more than" in score.explanation


def test_what_is_no_pattern_or_weight_is_refused_at_once():
    with pytest.raises(ConfigurationError, match="regular expression"):
        matches("(")
    with pytest.raises(ConfigurationError, match="above 0"):
        json_fields({"a": 0})


@given(
    st.sampled_from(SCORERS),
    st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists),
    st.text(min_size=1),
)
@example(numeric, "#### ", "1")
@example(choice, "\\boxed{}", "B")
def test_no_answer_makes_a_scorer_raise(scorer, output, target):
    target = {"a": target} if scorer is SCORERS[-1] else target
    score = scorer(asked(target), output)
    assert isinstance(score, Score)
    assert len(score.explanation) < 1000


@pytest.mark.parametrize("scorer", [exact, normalised, numeric, choice])
def test_an_item_without_a_target_cannot_be_scored(scorer):
    with pytest.raises(ValueError, match="item 1 has no target"):
        scorer(asked(None), "answer")
