"""The recipes of docs/cookbook.md work: done from top to bottom, with the commands they show."""

from __future__ import annotations

import re
import shlex
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.daemon import start_stalkd
from support.examples import DOCS, Block, blocks_of, run_python, run_script, unknown_options
from support.workers import worker

PAGE = (DOCS / "cookbook.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
RECIPES = {title: blocks for title, text in SECTIONS.items() if (blocks := blocks_of(text))}


class Reader:
    """Somebody who does what a recipe says."""

    def __init__(self, place: Path, url: str, stack: ExitStack) -> None:
        self.place = place
        self.url = url
        self.stack = stack
        self.printed = ""

    def follow(self, block: Block) -> None:
        if block.file:
            (self.place / block.file).write_text(block.code)
        elif block.language == "python":
            self.printed = run_script(block.code, self.place, self.url)
        elif block.language == "console":
            for typed, shown in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block.code, re.MULTILINE):
                assert self.type(shlex.split(typed)) == shown
        else:
            assert self.printed.endswith(block.code)

    def type(self, words: list[str]) -> str:
        """Enter a command, and return what it prints."""
        program, *options = words
        if program == "python":
            return run_python(options, self.place, self.url)
        assert program == "stalk-worker"
        made = self.stack.enter_context(worker(self.url, *options, cwd=self.place))
        if "--burst" in options:
            assert made.wait() == 0, made.told()
        return ""


@pytest.mark.parametrize("title", RECIPES)
def test_the_recipe_works(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")  # A proxy would answer where nobody should.
    with start_stalkd() as daemon, ExitStack() as stack:
        reader = Reader(tmp_path, f"stalkd://{daemon.host}:{daemon.port}", stack)
        for block in RECIPES[title]:
            reader.follow(block)


def test_every_section_is_listed() -> None:
    listed = re.findall(r"^- \[(.*)\]\(#(.*)\)$", PAGE, re.MULTILINE)
    assert [title for title, _ in listed] == list(SECTIONS)
    for title, anchor in listed:
        assert anchor == re.sub(r"[^a-z ]", "", title.lower()).replace(" ", "-")


def test_every_recipe_says_what_comes_out() -> None:
    assert len(RECIPES) == 8
    said = re.compile(r"^print\(.*\)  # ", re.MULTILINE)
    assert all(any(said.search(each.code) for each in blocks) for blocks in RECIPES.values())


def test_every_option_on_the_page_exists() -> None:
    assert not unknown_options(PAGE)
