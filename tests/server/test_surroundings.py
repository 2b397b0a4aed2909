"""What `stats` tells of process and machine, as YAML readers and clients understand it."""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING

import yaml

from stalkd import __version__
from stalkd.server import surroundings as module
from stalkd.server.surroundings import PROTOCOL_VERSION, surroundings
from support.inside import serve

if TYPE_CHECKING:
    from trio.testing import MockClock

YAML_1_2_NUMBER = re.compile(
    r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
)


def test_the_id_is_never_a_number() -> None:
    """16 hexadecimal digits that no YAML reader takes for an integer, a float or anything else.

    The original's `1234567890123456` or `12345678901234e5` come out of a reader as numbers.
    """
    for _ in range(5_000):
        number = module._instance_id()
        assert re.fullmatch(r"[0-9a-f]{16}", number)
        assert not YAML_1_2_NUMBER.fullmatch(number)
        assert yaml.safe_load(f"id: {number}") == {"id": number}


def test_the_id_differs_from_start_to_start() -> None:
    """It is made once, and tells one run of the daemon from another."""
    first, second = surroundings(), surroundings()
    assert first()[1]["id"] == first()[1]["id"]
    assert first()[1]["id"] != second()[1]["id"]


def test_the_version_is_two_numbers() -> None:
    """Clients compare it as numbers: it is the protocol's version, without a suffix."""
    assert re.fullmatch(r"\d+\.\d+", PROTOCOL_VERSION)
    assert tuple(map(int, PROTOCOL_VERSION.split("."))) >= (1, 12)


async def test_in_stats(clock: MockClock) -> None:
    """All values arrive in a YAML reader with their types."""
    async with serve() as server:
        wire = server.connect()
        word, size = (await wire.ask(b"stats")).split()
        assert word == b"OK"
        told = yaml.safe_load(await wire.read_exact(int(size)))
        assert told["pid"] == os.getpid()
        assert told["version"] == PROTOCOL_VERSION
        assert told["server"] == f"stalkd {__version__}"
        assert told["hostname"] == socket.gethostname()
        assert told["os"] == os.uname().version
        assert told["platform"] == os.uname().machine
        assert told["draining"] is False
        assert isinstance(told["id"], str)
        assert all(isinstance(told[key], float) for key in ("rusage-utime", "rusage-stime"))
