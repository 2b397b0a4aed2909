"""What the README shows is what comes: its conversations, commands, and figures."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from stalkd.protocol import commands, extended
from support.core import Core
from support.examples import Block, blocks_of
from support.reader import Reader

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PARTS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL))


def blocks_that(about: str, text: str = README) -> list[Block]:
    """The blocks that are marked so; those of "" are for every reader."""
    return [block for block in blocks_of(text) if block.about.strip() == about]


FOLLOWED = [title for title, text in PARTS.items() if blocks_that("", text)]

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


@pytest.mark.needs("nc")
@pytest.mark.parametrize("title", FOLLOWED)
def test_a_reader_who_types_it_sees_it(title: str, tmp_path: Path) -> None:
    """Each part by itself, with a new daemon."""
    with Reader(tmp_path) as reader:
        for block in blocks_of(PARTS[title]):
            if block.about.strip() in {"", "setup"}:
                reader.follow(block)


@pytest.mark.timeout(300)
def test_it_is_installed_as_it_says(tmp_path: Path) -> None:
    """With pip, from here and from the network; the tutorial says the same, and looks at it."""
    (readme,) = blocks_that("install")
    (tutorial,) = blocks_that("install", (ROOT / "docs" / "tutorial.md").read_text())
    assert tutorial.code.startswith(readme.code)
    typed = [line.removeprefix("$ ") for line in tutorial.code.splitlines() if line[:1] == "$"]
    environment = {**os.environ, "HOME": str(tmp_path), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        ["bash", "-ec", "\n".join([*typed, "stalk --version", "stalk-worker --version"])],
        check=False,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    said = tutorial.code.splitlines()[-1]
    assert said in done.stdout.splitlines()
    assert done.stdout.count(said.split()[1]) >= 3


def test_the_commands_of_make_exist() -> None:
    """They are run by tests/examples and by whoever runs this."""
    (block,) = blocks_that("make")
    for line in block.code.splitlines():
        told = line.removeprefix("$ ").split()
        assert told[0] == "make"
        subprocess.run([*told, "-n"], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    for named in re.findall(r"`make ([a-z-]+)", README):
        assert re.search(rf"^{named}:", (ROOT / "Makefile").read_text(), re.MULTILINE), named


def test_the_figures_are_those_of_the_benchmarks() -> None:
    """Each number in the tables stands in bench/README.md."""
    rows = re.findall(r"^\| .*? \| (.*\d.*) \|$", PARTS["How fast"], re.MULTILINE)
    figures = [each for row in rows for each in re.findall(r"[\d,]*\d(?:\.\d+)?", row)]
    assert len(figures) > 20
    measured = (ROOT / "bench" / "README.md").read_text()
    for each in figures:
        assert re.search(rf"(?<![\d.,]){re.escape(each)}(?![\d,]*\d)", measured), each


def test_it_can_be_read_in_a_minute_or_two() -> None:
    shown = re.sub(r"<!--.*?-->\n", "", README, flags=re.DOTALL)
    assert len(shown.splitlines()) <= 280
