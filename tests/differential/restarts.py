"""Conversations with a server that is killed in between, and started again on the same log.

The files have the format of `script.py` and one step more::

    restart

The server is killed (SIGKILL) and started again; all connections are gone, and those that are used
afterwards are new ones. A ``server`` line behind it gives the options from then on.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from differential.play import play
from differential.script import Conversation, Speaker, parse
from differential.stage import Stage, open_stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STEP = "restart"

FILES = {path.stem: path for path in Path(__file__).with_name("restarts").glob("*.txt")}


def load_lives(path: Path, speaker: Speaker) -> list[Conversation]:
    """What is said to each of the processes, as ``speaker`` is expected to answer it."""
    lives: list[list[str]] = [[]]
    for line in path.read_text(encoding="ascii").splitlines():
        if line.strip() == STEP:
            lives.append([])
        else:
            lives[-1].append(line)
    return [parse(lines, speaker) for lines in lives]


def play_lives(lives: Sequence[Conversation], speaker: Speaker) -> Iterator[Conversation]:
    """Say it, and give what was heard in each life."""
    with tempfile.TemporaryDirectory() as directory:
        options: tuple[str, ...] = ()
        for life in lives:
            options = life.options or options
            with _one_life(speaker, replace(life, options=("-b", directory, *options))) as stage:
                yield replace(play(life, stage), options=life.options)


@contextmanager
def _one_life(speaker: Speaker, conversation: Conversation) -> Iterator[Stage]:
    with open_stage(speaker, conversation) as stage:
        try:
            yield stage
        finally:
            stage._daemon.kill()
