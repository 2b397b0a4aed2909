"""The command run inside the test, up to the point where it would listen."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest

from stalkd import cli
from stalkd.config import Config
from support.command import Command, Outcome


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Give the command options, without starting anything."""
    log = logging.getLogger("stalkd")
    handlers, level = log.handlers[:], log.level

    def run(*options: str) -> Outcome:
        started: list[Config] = []
        monkeypatch.setattr(sys, "argv", ["stalkd", *options])
        monkeypatch.setattr(cli, "_start", lambda config, *_: started.append(config))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return Outcome(ended.value.code or 0, started[0] if started else None, out, err)

    yield run
    log.handlers[:] = handlers
    log.setLevel(level)
