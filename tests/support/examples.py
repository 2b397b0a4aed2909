"""The examples on the pages of the documentation, for tests that do what a reader would do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
from stalkd_client.worker.cli import stalk_worker

DOCS = Path(__file__).resolve().parents[2] / "docs"
PATIENCE_S = 50


class Block(NamedTuple):
    """What stands between fences; ``about`` is what follows the language."""

    language: str
    about: str
    code: str

    @property
    def file(self) -> str | None:
        """The name of the file that the reader is told to make of it."""
        return self.about.split("file=")[1] if "file=" in self.about else None


def blocks_of(text: str) -> list[Block]:
    found = re.findall(r"^```(\w+)([^\n]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(*each) for each in found]


def run_python(arguments: list[str], place: Path, url: str) -> str:
    """Run Python in a directory; return what it prints. It must say nothing else."""
    done = subprocess.run(
        [sys.executable, *arguments],
        check=False,
        cwd=place,
        env={**os.environ, "STALKD_URL": url},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def run_script(code: str, place: Path, url: str) -> str:
    """Run an example, and return what it prints: among it, in order, the lines in its comments."""
    (place / "script.py").write_text(code)
    printed = run_python(["script.py"], place, url)
    lines = iter(printed.splitlines())
    for said in re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE):
        assert said in lines, f"{said!r} was to come, in its order, in:\n{printed}"
    return printed


def unknown_options(text: str) -> set[str]:
    """Return the long options on a page that ``stalk-worker`` does not have."""
    context = click.Context(stalk_worker, **stalk_worker.context_settings)
    options = stalk_worker.get_params(context)
    known = {name for each in options for name in (*each.opts, *each.secondary_opts)}
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - known
