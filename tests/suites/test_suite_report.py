"""The report on a suite: what models got right and wrong, side by side, as figures and as a page that loads and runs nothing."""

import json
import re

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline import CallableStrategy, Price
from paceline.cli import main
from paceline.exceptions import ConfigurationError
from paceline.suites import Question, Suite, evaluate, numeric, report, write_report
from paceline.suites.report_figures import MOST_SHOWN
from paceline.suites.report_page import render
from paceline.suites.suite_report import shortened

from ..report.test_page import ATTRIBUTES, TAGS, Page
from ..report.test_svg import HOSTILE
from .results import write_result

RIGHT, WRONG = [1.0], [0.0]


@pytest.fixture
def two(tmp_path):
    """Two results: the second is worse on a third of the items; both are wrong on the first."""
    first = {f"q{n}": RIGHT if n else WRONG for n in range(12)}
    second = {f"q{n}": RIGHT if n % 3 else WRONG for n in range(12)}
    return write_result(tmp_path / "a", first, model="large"), write_result(tmp_path / "b", second, model="small")


def test_results_stand_side_by_side_with_accuracy_interval_cost_and_time(two):
    page = Page(render(report(*two))).text
    assert "large gets 91.7% right (95 %: 64.6% to 98.5%), for $0.5, in 3.0 s." in page
    assert "small gets 66.7% right" in page
    assert "small and large do not show a difference (-25.0 points" in page
    assert "items would show a difference of this size" in page
    assert re.search(r"per right answer.*\$0\.04545", page)


def test_items_are_listed_as_people_count_with_the_score_of_each_result(two):
    found = report(*two)
    assert [item.id for item in found.items] == [f"q{n}" for n in range(12)]
    assert found.items[0].scores == (0, 0)
    assert found.items[3].scores == (1, 0)
    assert [item.id for item in found.items if item.differs] == ["q3", "q6", "q9"]


def test_each_wrong_answer_is_shown_with_what_was_asked_what_is_right_and_why(two):
    item = report(*two).items[3]
    assert (item.prompt, item.target) == ("What is q3?", "1")
    assert item.answers[1][0].text == "answer 0.0 to q3"
    assert item.answers[1][0].explanation == "'0.0', right: '1'"
    page = Page(render(report(*two))).text
    assert page.count("Wrong answers of ") == 2
    assert "answer 0.0 to q3" in page.split("Wrong answers of small")[1]


def test_without_texts_there_are_scores_alone(two):
    found = report(*two, with_text=False)
    assert all(item.scores and not item.is_shown and not item.prompt for item in found.items)
    page = Page(render(found)).text
    assert "What is q3?" not in page
    assert "answer 0.0" not in page
    assert "q11" in page


def test_of_many_items_those_that_differ_or_are_wrong_are_shown(tmp_path):
    names = [f"q{n:05}" for n in range(2_100)]
    first = write_result(tmp_path / "a", dict.fromkeys(names, RIGHT) | {"q02090": WRONG})
    second = write_result(tmp_path / "b", dict.fromkeys(names, RIGHT) | {"q02090": WRONG, "q02099": WRONG})
    found = report(first, second)
    shown = [item.id for item in found.items if item.is_shown]
    assert len(shown) == MOST_SHOWN
    assert {"q02090", "q02099"} < set(shown)
    assert (len(found.items), found.item_count) == (2_000, 2_100)
    assert "2,000 items of 2,100" in Page(render(found)).text


def test_several_samples_have_pass_at_k_and_their_worst_answers(tmp_path):
    folder = write_result(tmp_path / "a", {"x": [1.0, 0.0, 1.0], "y": [None, 0.0, 0.0]}, samples=3)
    found = report(folder)
    assert [answer.score for answer in found.items[0].answers[0]] == [0, 1, 1]
    assert found.items[1].scores == (0,)
    page = Page(render(found)).text
    assert "pass@3" in page
    assert "1 sample without a score." in page
    assert "timeout: took too long" in page


def test_a_long_text_keeps_its_beginning_and_its_end():
    text = "begin" + 5_000 * "x" + "end"
    assert len(shortened(text, 300)) <= 300
    assert shortened(text, 300).startswith("begin")
    assert shortened(text, 300).endswith("end")
    assert shortened("short", 300) == "short"


def test_a_suite_without_items_and_one_without_scores_have_a_page(tmp_path):
    assert "The suite has no items." in Page(render(report(write_result(tmp_path / "a", {})))).text
    assert "m has no score. 1 sample without" in Page(render(report(write_result(tmp_path / "b", {"x": [None]})))).text


@pytest.mark.parametrize("count", [1, 2])
def test_whatever_results_say_the_page_has_its_own_elements_only(tmp_path, count):
    text = " ".join(HOSTILE).encode("utf-8", "backslashreplace").decode()
    folders = [
        write_result(
            tmp_path / f"{n}", {f"{text}{n}": [float(n)]}, suite=text, model=f"{text}{n}", text=text, stopped=text
        )
        for n in range(count)
    ]
    page = Page(render(report(*folders)))
    assert {tag for tag, _ in page.elements} <= TAGS
    assert {name for _, found in page.elements for name in found} <= ATTRIBUTES | {"rx"}


def test_the_journal_of_a_single_result_says_what_its_calls_took(tmp_path):
    strategy = CallableStrategy(_sum, price=Price(1.0, 1.0))
    suite = Suite("sums", [Question("1", {"n": 1}, "2")], "{n} + {n}", numeric)
    anyio.run(_evaluate, suite, strategy, tmp_path / "a", backend="trio")
    anyio.run(_evaluate, suite, strategy, tmp_path / "b", backend="trio")
    assert "Cost and tokens" in Page(render(report(tmp_path / "a"))).text
    both = Page(render(report(tmp_path / "a", tmp_path / "b"))).text
    assert "Each model of each result, over all runs" in both
    (tmp_path / "a" / "journal.db").unlink()
    assert "Cost and tokens" not in Page(render(report(tmp_path / "a"))).text


async def _evaluate(suite, strategy, folder):
    await evaluate(suite, strategy, folder=folder)


async def _sum(prompt):
    return str(2 * int(prompt.split()[0]))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=9), one, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["score", "explanation", "target", "prompt", "output", "error", "sample", "item"]), JUNK
    )
)
def test_a_transcript_from_anywhere_has_a_page_or_is_refused_with_a_sentence(tmp_path_factory, changes):
    folder = write_result(tmp_path_factory.mktemp("any") / "a", {"x": RIGHT, "y": WRONG})
    first, *others = (folder / "transcript.jsonl").read_text().splitlines()
    rows = [json.dumps(json.loads(first) | changes), *others]
    (folder / "transcript.jsonl").write_text("\n".join(rows), "utf-8")
    try:
        tags, message = {tag for tag, _ in Page(render(report(folder))).elements}, ""
    except ConfigurationError as error:
        tags, message = set(), str(error)
    assert tags <= TAGS
    assert not message or "transcript.jsonl:1: is no sample of a suite" in message


def test_results_of_different_suites_have_no_common_report(tmp_path):
    one, other = write_result(tmp_path / "a", {}), write_result(tmp_path / "b", {}, suite="other")
    with pytest.raises(ConfigurationError, match="make a report on results of one suite"):
        report(one, other)
    with pytest.raises(ConfigurationError, match="name the folder"):
        report()


def test_results_without_a_common_item_are_shown_without_a_comparison(tmp_path):
    one, other = write_result(tmp_path / "a", {"x": RIGHT}), write_result(tmp_path / "b", {"y": RIGHT})
    found = report(one, other)
    assert found.comparisons == ()
    assert [item.scores for item in found.items] == [(1, None), (None, 1)]


# ---------------------------------------------------------------------------------------------- the command


def test_the_command_writes_a_page_and_replaces_none(capfd, two, tmp_path):
    page = tmp_path / "page.html"
    command = ["suite", "report", *map(str, two), "-o", str(page)]
    assert main(command) == 0
    assert capfd.readouterr().err == f"paceline: {page}: report on 2 results of sums\n"
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert main(command) == 2
    assert "--overwrite" in capfd.readouterr().err
    assert main([*command, "--overwrite", "--no-text"]) == 0
    assert "What is q3?" not in page.read_text("utf-8")


def test_the_command_prints_the_figures(capfd, two):
    assert main(["suite", "report", *map(str, two), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert [one["accuracy"] for one in found["results"]] == pytest.approx([11 / 12, 8 / 12])
    assert found["comparisons"][0]["only_second"] == 3
    assert found["items"][3]["answers"][1][0]["score"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "FOLDER: name the folder of a finished"),
        (["a"], "-o FILE is required, or --json"),
        (["a", "--json", "-o", "-"], "one of them can go to stdout"),
        (["nowhere", "--json"], "name the folder of a finished"),
        (["a", "-o", "a/transcript.jsonl", "--overwrite"], "a/transcript.jsonl"),
        (["a", "-o", "nowhere/x.html"], "nowhere"),
    ],
)
def test_what_is_wrong_with_a_report_is_one_sentence(capfd, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    before = write_result(tmp_path / "a", {"x": RIGHT}).joinpath("transcript.jsonl").read_text()
    assert main(["suite", "report", *arguments]) == 2
    err = capfd.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert (tmp_path / "a" / "transcript.jsonl").read_text() == before


def test_a_report_goes_to_stdout(capfd, two):
    write_report(*two, output="-")
    assert "</html>" in capfd.readouterr().out


def test_what_is_said_of_a_difference_has_the_sign_of_its_interval(tmp_path):
    good = write_result(tmp_path / "a", {f"{n}": RIGHT for n in range(40)}, model="good")
    bad = write_result(tmp_path / "b", {f"{n}": [float(n % 2)] for n in range(40)}, model="bad")
    both = [str(report(*pair).comparisons[0]) for pair in ((good, bad), (bad, good))]
    assert both[0] == both[1]
    assert both[0].startswith("good is better than bad by 50.0 points (+35.0 to +65.0; p = ")
