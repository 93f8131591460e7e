"""Waits in the forms in which providers write them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.provider_answers.waits import MONTH, parse_wait, wait_in_text

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("12", 12), ("0.5", 0.5), (" 12 ", 12), ("0", 0)],
        *[("6m0s", 360), ("20ms", 0.02), ("150µs", 150e-6), ("1d2h", 93_600)],
        *[(str(int(NOW + 30)), 30), (str(int(NOW + 30) * 1000), 30), (str(int(NOW - 30)), 0)],
        *[("2026-11-30T12:00:30Z", 30), ("2026-11-30T14:00:30.5+02:00", 30.5), ("2026-11-30 12:00:30", 30)],
        *[(formatdate(NOW + 30, usegmt=True), 30), ("2026-11-30T12:00:30.123456789Z", 30.123456)],
        *[(text, None) for text in ("", "soon", "-1", "1s!", "nan", "inf", "40d", "1e99", "9" * 70, None)],
    ],
)
def test_a_wait_is_a_number_a_duration_or_a_time(text, seconds):
    wait = parse_wait(text, NOW)
    assert wait is None if seconds is None else wait == pytest.approx(seconds, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Rate limit reached for gpt-4o. Please try again in 1m13.5s. Visit https://x", 73.5),
        ("Please try again in 350ms.", 0.35),
        ("Please retry in 53.2s.", 53.2),
        ("Please try again in 9m38.016s. Need more tokens? Upgrade", 578.016),
        ("have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 9 seconds. Please go here", 9),
        ("Rate limit is exceeded. Try again in 30 seconds", 30),
        ("Your quota will reset after 15h59m8.9s.", 57_548.9),
        ("[1310][Weekly/Monthly Limit Exhausted. Your limit will reset at 2026-12-01 05:38:28]", 63_508),
        ("You will regain access on 2026-12-01 at 00:00 UTC.", 43_200),
        ("resets at 2026-12-01T00:00:00Z", 43_200),
        ("Limit resets at: 2026-12-01 12:00:00 UTC", 86_400),
        ("Please wait 12345 seconds before retrying.", 12_345),
        ("Out of call volume quota. Quota will be replenished in 05:12:00.", 18_720),
        ("Out of call volume quota. Quota will be replenished in 2.12 days.", 183_168),
        ("try again in 1 hour and 5 minutes", 3_900),
        ("Too many requests, retry after: 12", 12),
        ("Retry-After: 20", 20),
        ("Please retry later, in 3 attempts", None),
        ("retry after 5 attempts", None),
        ("Please try again later.", None),
        ("try again in 0s", None),
        ("resets at 2026-11-29 00:00:00", None),
        ("the timeout of 30 s was reached", None),
        ("try again in 90 days", None),
    ],
)  # fmt: skip
def test_a_sentence_that_asks_to_wait_says_for_how_long(text, seconds):
    wait = wait_in_text(text, NOW)
    assert wait is None if seconds is None else wait == pytest.approx(seconds)


@given(st.integers(0, 30), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59_999))
def test_a_duration_in_gos_form_is_its_seconds_in_a_field_and_in_a_sentence(days, hours, minutes, milliseconds):
    total = days * 86_400 + hours * 3_600 + minutes * 60 + milliseconds / 1_000
    text = f"{days}d{hours}h{minutes}m{milliseconds / 1_000:.3f}s"
    assert parse_wait(text, NOW) == pytest.approx(total)
    assert (wait_in_text(f"Please try again in {text}.", NOW) or 0.0) == pytest.approx(total)


@given(st.integers(1, int(MONTH)), st.sampled_from([1, 1_000]))
def test_a_time_since_1970_is_read_in_seconds_and_in_milliseconds(away, unit):
    assert parse_wait(str(int(NOW + away) * unit), NOW) == away


words = st.sampled_from(
    ["try again in ", "resets at ", "retry after ", "1m", "2026-11-30", " 99:99:99 ", "5", ".", "s ", "T12:00Z", "٣"]
)
sentences = st.lists(words | st.text(max_size=5), max_size=30).map("".join)


@given(sentences, st.floats())
def test_no_text_raises_and_each_wait_is_plausible(text, now):
    for wait in (parse_wait(text, now), wait_in_text(text, now)):
        assert wait is None or 0 <= wait <= MONTH
        assert wait is None or math.isfinite(wait)


@pytest.mark.parametrize(
    "text", ["try again in " * 5_000, "resets " + "1m" * 20_000, "wait " + " " * 50_000, "1" * 100_000]
)
def test_long_texts_take_no_time(text):
    assert wait_in_text(text, NOW) is None or wait_in_text(text, NOW) > 0
