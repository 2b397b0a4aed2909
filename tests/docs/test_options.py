"""Options, manual page and --help tell the same."""

import re
from pathlib import Path

import click

from stalkd.cli import stalkd

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "man" / "stalkd.1").read_text()


def declared() -> set[str]:
    """Return every option that the command takes, with its dashes."""
    context = click.Context(stalkd, **stalkd.context_settings)
    return {name for option in stalkd.get_params(context) for name in option.opts}


def documented() -> set[str]:
    """Return every option that has an entry of its own in the page: ``.It Fl p …, Fl -port``."""
    entries = re.findall(r"^\.It (Fl .*)$", PAGE, re.MULTILINE)
    return {f"-{name}" for entry in entries for name in re.findall(r"\bFl (\S+)", entry)}


def test_every_option_has_an_entry() -> None:
    """No option is missing in stalkd(1), and none is there that does not exist."""
    assert documented() == declared()


def test_every_option_has_help() -> None:
    """--help says something about each."""
    for option in stalkd.get_params(click.Context(stalkd)):
        assert isinstance(option, click.Option)
        assert option.help


def test_exit_codes_are_in_the_page() -> None:
    """Every exit code of the command has an entry under EXIT STATUS."""
    text = (ROOT / "stalkd" / "cli.py").read_text()
    codes = set(re.findall(r"^EXIT_\w+: Final = (\d+)", text, re.MULTILINE)) | {"0"}
    section = PAGE.split(".Sh EXIT STATUS")[1].split("\n.Sh ")[0]
    assert set(re.findall(r"^\.It (\d+)", section, re.MULTILINE)) == codes
