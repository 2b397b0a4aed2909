"""Brokers: each is started for one measurement, and gone with its directory after it."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stalkd_client.testing import private_server

from bench.peers.processes import running

_START_S = 20.0
_LOOK_AGAIN_S = 0.01
_HOST = "127.0.0.1"


class Broker(NamedTuple):
    """Its address, its process if it is one, and what clients need in their environment."""

    url: str
    pid: int | None
    env: dict[str, str]


class Kind(NamedTuple):
    """How to run one in a directory, given that of the peers' commands; and what that takes."""

    run: Callable[[Path, Path], AbstractContextManager[Broker]]
    program: str = "{python}"


@contextmanager
def _stalkd(options: Sequence[str], directory: Path, _peers: Path) -> Iterator[Broker]:
    with private_server(*(option.format(directory=directory) for option in options)) as server:
        yield Broker(server.url, server.pid, {})


@contextmanager
def _redis(directory: Path, _peers: Path) -> Iterator[Broker]:
    address = directory / "redis"
    words = ["redis-server", "--port", "0", "--unixsocket", str(address), "--dir", str(directory)]
    with running(words, directory / "redis.log") as process:
        _wait_until_it_listens(process, socket.AF_UNIX, str(address))
        yield Broker(f"unix://{address}", process.pid, {})


@contextmanager
def _sqs(directory: Path, peers: Path) -> Iterator[Broker]:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
    url = f"http://{_HOST}:{port}"
    words = [str(peers / "moto_server"), "-H", _HOST, "-p", str(port)]
    names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    env = dict.fromkeys(names, "any") | {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1"}
    with running(words, directory / "moto.log") as process:
        _wait_until_it_listens(process, socket.AF_INET, (_HOST, port))
        yield Broker(url, process.pid, env)


@contextmanager
def _files(directory: Path, _peers: Path) -> Iterator[Broker]:
    yield Broker(f"fq://{directory / 'tasks'}", None, {})


BROKERS = {
    "stalkd": Kind(partial(_stalkd, ())),
    "stalkd -b": Kind(partial(_stalkd, ("-b", "{directory}"))),
    "redis": Kind(_redis, "redis-server"),
    "sqs": Kind(_sqs, "{peers}/moto_server"),
    "files": Kind(_files),
}


def _wait_until_it_listens(
    process: subprocess.Popen[bytes], family: int, address: str | tuple[str, int]
) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(family) as probe:
            if probe.connect_ex(address) == 0:
                return
        time.sleep(_LOOK_AGAIN_S)
    raise RuntimeError(f"nobody listens at {address}: {process.args!r}")
