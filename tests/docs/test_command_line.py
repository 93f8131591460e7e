"""The reference of the command line says of every option what the program itself says.

`python -m tests.docs.test_command_line` writes its tables anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from paceline.cli.app import app
from paceline.cli.codes import FAILED, OK, SIGNALLED, UNSAVED, UNWANTED, USAGE
from paceline.cli.options import RunOptions

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"
TABLE = re.compile(r"(?<=<!-- options of (\w{3}) -->\n).*?(?=<!-- end -->)", re.DOTALL)
COMMANDS = ("run",)


def table_of(command: str) -> str:
    """Return the options of a command as the page has them."""
    lines, group = ["| option | | default |", "|---|---|---|"], None
    for argument in arguments_of(command):
        names = [name for name in argument.names if name.startswith("-")]
        if not names or not argument.parse:
            continue
        (found,) = argument.parameter.group
        if found.name != group:
            group = found.name
            lines.append(f"| **{group}** | | |")
        help_, _, told = (argument.parameter.help or "").partition(" [default: ")
        value = f" {argument.parameter.metavar}" if argument.parameter.metavar else ""
        shown = ", ".join(f"`{name}{value if name.startswith('--') else ''}`" for name in names)
        lines.append(f"| {shown} | {help_} | {told.rstrip(']') or default_of(argument)} |")
    return "\n".join(lines) + "\n"


def arguments_of(command: str):
    return app[command].assemble_argument_collection(parse_docstring=True)


def default_of(argument) -> str:
    if argument.required:
        return "must be given"
    default = argument.field_info.default
    if default is True:
        return "on"
    return "" if default in (None, False, ()) else f"{default:g}" if isinstance(default, float) else str(default)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_table_of_options_is_the_program_s(command):
    tables = {match[1]: match[0] for match in TABLE.finditer(PAGE.read_text("utf-8"))}
    assert tables[command] == table_of(command)


def test_every_command_has_a_section():
    text = PAGE.read_text("utf-8")
    for command in app:
        if not command.startswith("-"):
            assert f"\n## `paceline {command}" in text


def test_every_exit_code_is_told():
    text = PAGE.read_text("utf-8").partition("\n## Exit codes\n")[2]
    told = {int(code) for line in re.findall(r"^\| ([\d, ]+) \|", text, re.MULTILINE) for code in line.split(",")}
    assert told == {OK, FAILED, USAGE, UNSAVED, UNWANTED, SIGNALLED + 2, SIGNALLED + 15}


def test_every_option_has_a_sentence_of_help():
    for field in attrs.fields(RunOptions):
        if field.name != "source":
            argument = next(one for one in arguments_of("run") if one.field_info.name == field.name)
            assert (argument.parameter.help or "").rstrip("]").strip(), field.name


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda match: table_of(match[1]), PAGE.read_text("utf-8")), "utf-8")
