"""What a run costs: the summary, the report as JSON, the journal and `status` say what the server's own counts come to."""

from __future__ import annotations

import json
import sqlite3

import pytest

from ...strategies.chat_service import openai_reply
from ...strategies.gemini.service import Answer, Service

PRICE = {"in": 2.0, "out": 10.0, "cached": 0.5, "tiers": [{"above": 1_000, "in": 4, "out": 20, "cached": 1}]}


class Metered(Service):
    """Counts what each answer costs at `PRICE`; every third prompt is long."""

    def __init__(self):
        super().__init__()
        self.billed = []
        self.seen = frozenset()

    def answer_to(self, received):
        number = int(str(received.body["messages"][-1]["content"]).split()[-1])
        sent, made, cached = (1_500 if number % 3 == 0 else 800 + number), 20 + number, 10 * number
        usage = {
            "prompt_tokens": sent,
            "completion_tokens": made,
            "total_tokens": sent + made,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": made - 5},
        }
        rates = PRICE["tiers"][0] if sent > 1_000 else PRICE
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
