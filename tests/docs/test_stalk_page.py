"""The options and commands of ``stalk``, its manual page and its --help tell the same."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from stalkd_client.command import exits
from stalkd_client.command.root import stalk

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "man" / "stalk.1").read_text()

COMMON = {"--url", "--json", "--help", "-h", "--version"}
"""They stand once, under COMMON OPTIONS."""

each_command = pytest.mark.parametrize("name", list(stalk.commands))


def sections() -> dict[str, str]:
    """The text about each command: from its ``.Ss`` to the next heading."""
    found: dict[str, str] = {}
    for part in re.split(r"^\.S[sh] ", PAGE, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        name = heading.split()[0]
        found[name] = found.get(name, "") + text
    return found


def documented(text: str) -> set[str]:
    entries = re.findall(r"^\.It (Fl .*)$", text, re.MULTILINE)
    return {f"-{name}" for entry in entries for name in re.findall(r"\bFl (\S+)", entry)}


def declared(command: click.Command) -> set[str]:
    return {
        name
        for option in command.params
        if isinstance(option, click.Option)
        for name in (*option.opts, *option.secondary_opts)
    }


@each_command
def test_every_option_has_an_entry_and_every_entry_an_option(name: str) -> None:
    assert documented(sections()[name]) == declared(stalk.commands[name]) - COMMON


def test_the_common_options_have_their_entries() -> None:
    text = PAGE.split(".Sh COMMON OPTIONS")[1].split("\n.Sh ")[0]
    assert documented(text) == COMMON


def test_every_command_is_in_the_list_at_the_top() -> None:
    text = PAGE.split(".Sh DESCRIPTION")[1].split("\n.Sh ")[0]
    assert re.findall(r"^\.It Ic (\S+)$", text, re.MULTILINE) == sorted(
        stalk.commands, key=lambda name: text.index(f".It Ic {name}\n")
    )
    assert set(re.findall(r"^\.It Ic (\S+)$", text, re.MULTILINE)) == set(stalk.commands)


@each_command
def test_help_says_something_about_each_option(name: str) -> None:
    command = stalk.commands[name]
    assert command.help
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help


@each_command
def test_the_list_of_commands_says_what_each_is_for(name: str) -> None:
    """In a terminal of 80 columns, nothing is cut."""
    assert not stalk.commands[name].get_short_help_str(66).endswith("...")


def test_exit_codes_are_in_the_page() -> None:
    codes = {str(value) for name, value in vars(exits).items() if name.startswith("EXIT_")}
    section = PAGE.split(".Sh EXIT STATUS")[1].split("\n.Sh ")[0]
    assert set(re.findall(r"^\.It (\d+)", section, re.MULTILINE)) == codes


PROSE = [
    line
    for path in ("README.md", "docs/stalk.md", "docs/design.md", "man/stalk.1")
    for line in re.findall(
        r"(?:`|\$ |^)stalk ([a-z][a-z-]*(?: [^`\n]*)?)", (ROOT / path).read_text(), re.MULTILINE
    )
]


@pytest.mark.parametrize("line", sorted(set(PROSE)))
def test_what_pages_say_is_no_invention(line: str) -> None:
    """Commands and options that stand in examples exist."""
    name, *words = line.replace("`", " ").split("#")[0].split("|")[0].split("&&")[0].split()
    options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert options <= declared(stalk.commands[name]) | COMMON


def test_there_are_examples() -> None:
    assert len(set(PROSE)) > 20
