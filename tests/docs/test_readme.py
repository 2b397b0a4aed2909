"""The conversation in the README is one that the daemon has."""

import re
from pathlib import Path

from stalkd.protocol import commands, extended
from support.core import Core

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()

NAMES = {*commands.BARE, *commands.WITH_ARGUMENTS, *extended.NAMES, b"put"}

TIMES = re.compile(rb"(age|died): \d+\.\d{3}")


def conversations() -> list[tuple[bytes, bytes]]:
    """What is typed into each `nc -C`, and what the page shows as its output."""
    found = []
    for block in re.findall(r"^\$ nc -C .*\n((?:.*\n)*?)```$", README, re.MULTILINE):
        typed, shown, body_follows = b"", b"", False
        for line in block.encode().splitlines():
            if body_follows or line.split(b" ")[0] in NAMES:
                typed += line + b"\r\n"
                body_follows = not body_follows and line.startswith(b"put")
            else:
                shown += line + b"\n"
        found.append((typed, shown))
    return found


def test_every_conversation_is_true() -> None:
    """A new daemon says what is shown, but for the times."""
    pairs = conversations()
    assert len(pairs) == 2
    for typed, shown in pairs:
        core = Core()
        answer = core.ask(core.connect(), typed).replace(b"\r\n", b"\n")
        assert TIMES.sub(rb"\1", answer) == TIMES.sub(rb"\1", shown)


def test_the_other_commands_are_well_formed() -> None:
    """Each command in the table of new ones gets an answer that is no error."""
    table = README.split("## Ask for more than Beanstalk")[1].split("\n## ")[0]
    cells = re.findall(r"^\| .* \| (`.*`) \|$", table, re.MULTILINE)
    lines = [line.encode() for cell in cells for line in re.findall(r"`(.*?)`", cell)]
    assert len(lines) == 9
    core = Core()
    session = core.connect()
    for line in lines:
        body = b"\r\nhello" if line.startswith(b"put-with") else b""
        if line.startswith(b"wait-job"):
            line = line.rsplit(b" ", 1)[0] + b" 0"  # noqa: PLW2901 - nobody deletes it meanwhile
        word = core.ask(session, line + body + b"\r\n").split()[0]
        assert word in {b"INSERTED", b"TIMED_OUT", b"POLICY_SET", b"OK", b"PURGED"}, line
