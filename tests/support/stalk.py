"""The command ``stalk``, run in this process or as one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from stalkd_client import Client
from stalkd_client.command.root import stalk as command

PROGRAM = Path(sysconfig.get_path("scripts")) / "stalk"


@dataclass
class Outcome:
    """What a run has left."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Stalk = Callable[..., Outcome]


def run(*words: str | int, text: str | bytes | None = None) -> Outcome:
    """Run the command here."""
    result = CliRunner().invoke(command, [str(word) for word in words], text)
    return Outcome(result.exit_code, result.stdout, result.stderr)


def bury(client: Client, *bodies: str) -> list[int]:
    """Put jobs into the used tube, and bury them."""
    ids = [client.put(body) for body in bodies]
    for each in ids:
        client.bury(client.reserve_job(each))
    return ids


def start(*words: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start the command as a process."""
    return subprocess.Popen(
        [PROGRAM, *words],
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **options.pop("env", {})},
        **options,
    )
