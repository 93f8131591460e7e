"""The reference of the command line: its tables of options are the program's own help.

`python -m tests.docs.test_command_line` updates the tables.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paceline import model
from paceline.cli.app import app
from paceline.cli.commands.report import report_data
from paceline.cli.commands.status import status_data
from paceline.cli.estimate_text import estimate_data
from paceline.cli.exit_codes import BROKEN_PIPE, FAILED, OK, OVER_BUDGET, SIGNALLED, UNSAVED, USAGE
from paceline.journal.writer import JournalWriter
from paceline.runs import report, status
from paceline.runs.run_estimate import Observations

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"
TABLE = re.compile(
    r"(?P<head><!-- options of (?P<command>\w+(?: \w+)?) -->\n)(?P<table>.*?)(?=<!-- end -->)", re.DOTALL
)
COMMANDS = ("run", "estimate", "status", "results", "failed", "resume", "report", "explain", "control", "suite run")


def table_of(command: str) -> str:
    """Return the table of a command's options, in Markdown."""
    lines, group = ["| option | | default |", "|---|---|---|"], None
    for argument in arguments_of(command):
        names = [name for name in argument.names if name.startswith("-")]
        if not names or not argument.parse:
            continue
        (own_group,) = argument.parameter.group
        if own_group.name not in (group, "Parameters"):
            group = own_group.name
            lines.append(f"| **{group}** | | |")
        help_, _, shown_default = (argument.parameter.help or "").partition(" [default: ")
        value = f" {argument.parameter.metavar}" if argument.parameter.metavar else ""
        shown = ", ".join(f"`{name}{value if name.startswith('--') else ''}`" for name in names)
        lines.append(f"| {shown} | {help_} | {shown_default.rstrip(']') or default_of(argument)} |")
    return "\n".join(lines) + "\n"


def arguments_of(command: str):
    """Return the arguments of a command in the order of its help."""
    at = app
    for name in command.split():
        at = at[name]
    arguments = at.assemble_argument_collection(parse_docstring=True)
    return sorted(arguments, key=lambda argument: argument.parameter.group[0].sort_key or 0)


def default_of(argument) -> str:
    if argument.required:
        return "must be given"
    default = argument.field_info.default
    if default is True:
        return "on"
    return "" if default in (None, False, ()) else f"{default:g}" if isinstance(default, float) else str(default)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_table_of_options_matches_the_program(command):
    tables = {match["command"]: match["table"] for match in TABLE.finditer(PAGE.read_text("utf-8"))}
    assert tables[command] == table_of(command)


def test_every_command_has_a_section():
    text = PAGE.read_text("utf-8")
    for command in app:
        if not command.startswith("-"):
            assert f"\n## `paceline {command}" in text


def test_every_exit_code_is_documented():
    text = PAGE.read_text("utf-8").partition("\n## Exit codes\n")[2]
    documented = {int(code) for line in re.findall(r"^\| ([\d, ]+) \|", text, re.MULTILINE) for code in line.split(",")}
    assert documented == {
        OK,
        FAILED,
        USAGE,
        UNSAVED,
        OVER_BUDGET,
        BROKEN_PIPE,
        *(SIGNALLED + number for number in (1, 2, 15)),
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_sentence_of_help(command):
    for argument in arguments_of(command):
        if argument.parse and any(name.startswith("-") for name in argument.names):
            assert (argument.parameter.help or "").rstrip("]").strip(), argument.names


def test_every_key_of_the_status_is_documented(tmp_path):
    with JournalWriter(tmp_path / "x.journal"):
        pass
    data = status_data(status(tmp_path / "x.journal"))
    section = PAGE.read_text("utf-8").partition("\n## `paceline status")[2].partition("\n## ")[0]
    documented = {
        key for line in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE) for key in re.findall(r"`(\w+)`", line)
    }
    assert documented == {*data}


def test_every_key_of_the_report_is_documented(tmp_path):
    with JournalWriter(tmp_path / "x.journal") as writer:
        writer.begin_run()
    data = report_data(report(tmp_path / "x.journal"))
    section = PAGE.read_text("utf-8").partition("\n## `paceline report")[2].partition("\n## ")[0]
    keys = re.findall(r"^\| (`[^|]+) \|", section.partition("| key |")[2], re.MULTILINE)
    assert {key for line in keys for key in re.findall(r"`(\w+)`", line)} == {*data}


def test_every_key_of_the_estimate_is_documented():
    data = estimate_data(Observations(None).estimate(model("sim"), {10: 1}))
    section = PAGE.read_text("utf-8").partition("\n## `paceline estimate")[2].partition("\n## ")[0]
    keys = re.findall(r"^\| (`[^|]+) \|", section.partition("| key |")[2], re.MULTILINE)
    assert {key for line in keys for key in re.findall(r"`(\w+)`", line)} == {*data}


if __name__ == "__main__":
    PAGE.write_text(
        TABLE.sub(lambda match: match["head"] + table_of(match["command"]), PAGE.read_text("utf-8")), "utf-8"
    )
