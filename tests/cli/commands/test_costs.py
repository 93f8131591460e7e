"""What a run costs: the summary, the report as JSON, the journal and `status` say what the server's own counts come to."""

from __future__ import annotations

import json
import sqlite3

import pytest

from ...strategies.chat_service import openai_reply
from ...strategies.gemini.service import Answer, Service

PRICE = {"in": 2e3, "out": 1e4, "cached": 500, "tiers": [{"above": 20, "in": 4e3, "out": 2e4, "cached": 1e3}]}


class Metered(Service):
    """Counts what each answer costs at `PRICE`; every third prompt is long."""

    def __init__(self):
        super().__init__()
        self.billed = []
        self.seen = frozenset()

    def answer_to(self, received):
        number = int(str(received.body["messages"][-1]["content"]).split()[-1])
        sent, made, cached = (30 if number % 3 == 0 else 10), 20 + number, number // 2
        usage = {
            "prompt_tokens": sent,
            "completion_tokens": made,
            "total_tokens": sent + made,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": made - 5},
        }
        rates = PRICE["tiers"][0] if sent > 20 else PRICE
        self.billed.append(((sent - cached) * rates["in"] + cached * rates["cached"] + made * rates["out"]) / 1e6)
        # the first answer to some prompts is empty: it is paid for, and asked for again
        is_first, self.seen = number not in self.seen, self.seen | {number}
        reply = openai_reply("" if is_first and number % 4 == 0 else "good")
        return Answer(reply | {"usage": usage})


@pytest.fixture
def service():
    with Metered() as running:
        yield running


@pytest.fixture
def arguments(service, jsonl, tmp_path, no_keys):
    """Arguments of a run of 12 prompts on the server."""
    return (jsonl(12), "-o", tmp_path / "out.jsonl", "-m", f"openai:own@{service.url}/v1")


def test_all_say_what_the_calls_cost_one_by_one(paceline, arguments, service, tmp_path):
    run = paceline("run", *arguments, "--price", json.dumps(PRICE), "--json")
    assert run.code == 0, run.err
    (report,) = run.rows
    billed = pytest.approx(sum(service.billed))
    assert len(service.billed) == 15  # failed calls are paid for, too
    assert report["cost"] == report["models"][0]["cost"] == billed
    (status,) = paceline("status", tmp_path / "out.jsonl", "--json").rows
    assert status["cost"] == status["models"][0]["cost"] == billed
    with sqlite3.connect(tmp_path / "out.jsonl.journal") as db:
        assert sorted(cost for (cost,) in db.execute("SELECT cost FROM attempts")) == pytest.approx(
            sorted(service.billed)
        )


def test_a_model_without_a_price_is_named_once_with_how_to_give_one(paceline, arguments):
    run = paceline("run", *arguments, "-q")
    assert run.err.count("no price is known of own; give one with --price in=0.25,out=2.00") == 1
    assert "$" not in run.out + run.err


def test_a_server_of_ones_own_has_the_price_of_a_listed_model(paceline, arguments, tmp_path):
    run = paceline("run", *arguments, "--price", "as=openai/gpt-5", "--json")
    (report,) = run.rows
    assert report["cost"] > 0
    assert "no price" not in run.err
    (plan,) = paceline("resume", tmp_path / "out.jsonl", "--dry-run", "--json").rows
    assert plan["models"][0]["price"]["input"] == 1.25  # the journal has it


def test_a_config_file_has_a_table_of_prices(paceline, arguments, tmp_path):
    config = tmp_path / "paceline.toml"
    config.write_text("[price]\nin = 1\nout = 2\n[price.own]\nin = 3\nout = 4\n")
    (plan,) = paceline("run", *arguments, "--config", config, "--dry-run", "--json").rows
    assert plan["models"][0]["price"]["input"] == 3
    (plan,) = paceline("run", *arguments, "--config", config, "--price", "own:in=5,out=6", "--dry-run", "--json").rows
    assert plan["models"][0]["price"]["input"] == 5
    config.write_text("[price]\nin = 1\n")
    run = paceline("run", *arguments, "--config", config)
    assert (run.code, f"{config}: price: needs both in and out" in run.err) == (2, True)


# ---------------------------------------------------------------------------------------------- a cap


def test_a_run_ends_at_the_cap_and_a_resumption_with_a_higher_one_goes_on(paceline, arguments, service, tmp_path):
    priced = ("--price", json.dumps(PRICE), "--max-tokens", "50", "--json")
    run = paceline("run", *arguments, *priced, "--max-cost", "2.5")
    (report,) = run.rows
    assert run.code == report["exit_code"] == 4
    assert report["failed"] == 0
    assert report["pending"] == 12 - report["succeeded"] > 0
    assert report["cost"] == pytest.approx(sum(service.billed))
    assert 1 < sum(service.billed) <= 2.5  # a call is expected to cost $1.15 at most
    assert "the budget is used up: $" in report["stopped"]["message"]
    assert "are pending; resume with a higher --max-cost or --max-total-tokens: paceline resume" in run.err

    again = paceline("resume", tmp_path / "out.jsonl", "--json")  # the journal has the cap, and what was spent
    assert (again.code, again.rows[0]["cost"]) == (4, None)
    more = paceline("resume", tmp_path / "out.jsonl", "--max-cost", "50", "--json")
    assert more.code == 0, more.err
    (status,) = paceline("status", tmp_path / "out.jsonl", "--json").rows
    assert status["cost"] == pytest.approx(sum(service.billed))
    assert more.rows[0]["cost"] == pytest.approx(sum(service.billed) - report["cost"])
    assert len(service.billed) == 15  # nothing was paid twice


def test_a_cap_on_tokens_and_caps_in_a_config_file(paceline, arguments, service, tmp_path):
    config = tmp_path / "paceline.toml"
    config.write_text('max-cost = [4, "own:2.5"]\nprice = {in = 2_000, out = 10_000}\nmax_tokens = 50\n')
    assert paceline("run", *arguments, "--config", config).code == 4
    (status,) = paceline("status", tmp_path / "out.jsonl", "--json").rows
    assert 1 < status["cost"] <= 2.5
    run = paceline("run", *arguments, "--config", config, "--max-cost", "own:90", "--max-total-tokens", "500")
    assert run.code == 4
    assert "tokens are spent, and the next call may take up to" in run.err + run.out
    (status,) = paceline("status", tmp_path / "out.jsonl", "--json").rows
    assert 400 < status["usage"]["total_tokens"] <= 500
    assert paceline("run", *arguments, "--config", config, "--max-cost", "own:90").code == 4  # the $4 of all calls hold


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["--max-cost", "5"],
            "--max-cost: needs the price of each model, and none is known of own; give one with --price",
        ),
        (
            ["--max-cost", "free"],
            "--max-cost: must be an amount in USD above 0, such as 5.00, or MODEL:2.00; not 'free'",
        ),
        (["--max-cost", "-1"], "--max-cost: must be an amount in USD above 0"),
        (
            ["--max-cost", "gpt-5:1", "--price", "in=1,out=1"],
            "--max-cost: no model of this run is 'gpt-5'; it has openai:own@",
        ),
        (["--max-total-tokens", "0"], "--max-total-tokens: must be 1 or more, not 0"),
    ],
    ids=str,
)
def test_a_cap_that_cannot_be_kept_is_refused_before_anything_is_paid(paceline, arguments, service, given, message):
    run = paceline("run", *arguments, *given)
    assert (run.code, message in run.err) == (2, True), run.err
    assert not service.billed
