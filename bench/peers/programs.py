"""Where commands are, and who lacks one."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.machine import output
from bench.peers.brokers import BROKERS
from bench.peers.systems import System

_BRINGS = {
    "redis-server": "apt-get install redis-server",
    "{peers}": "make bench-peers",
    "{ours}": "pip install . in the environment of the Python that runs this",
}

_LIST = str(Path(__file__).resolve().parent / "requirements.txt")


class Programs(NamedTuple):
    """The directory of the peers' commands; ours are where this Python is."""

    peers: Path

    def fill_in(self, command: str, url: str = "") -> str:
        """A command with the paths in it."""
        ours = Path(sys.executable).parent
        return command.format(ours=ours, peers=self.peers, python=sys.executable, broker=url)

    def versions(self) -> Iterator[str]:
        """Lines on what is measured, as far as it is there."""
        yield output([sys.executable, "-VV"])
        yield output(["redis-server", "--version"])
        frozen = output([str(self.peers / "pip"), "freeze", "-r", _LIST])
        yield ", ".join(line for line in frozen.partition("\n##")[0].splitlines() if "==" in line)

    def python(self, system: System) -> str:
        """The interpreter that has the library of a system."""
        return self.fill_in("{peers}/python" if "{peers}" in system.worker else "{python}")

    def lacks(self, system: System) -> Iterator[str]:
        """What a system needs that is not there, with the command that brings it."""
        for template in (system.worker.split()[0], BROKERS[system.broker].program):
            path = self.fill_in(template)
            if shutil.which(path) is None:
                yield f"{path}: {_BRINGS[template.partition('/')[0]]}"
