"""Encrypted connections, through a terminator in front of the daemon."""

from __future__ import annotations

import asyncio
import select
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import anyio
import pytest
import trustme
from stalkd_client import Client, Queue
from stalkd_client.address import parse
from stalkd_client.aio import AsyncClient
from stalkd_client.stream import Buffer
from stalkd_client.tlsstream import TlsStream


@dataclass
class Files:
    ca: Path
    cert: Path


async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()


class Terminator:
    """Takes encrypted connections, and carries what comes to a plain one."""

    def __init__(self, context: ssl.SSLContext, target: tuple[str, int]) -> None:
        self.port = 0
        self._context = context
        self._target = target
        self._listens = threading.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._run()])
        self._thread.start()
        assert self._listens.wait(10)

    async def _run(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._listens.set()
        async with server:
            await self._over.wait()
        for writer in self._writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, out = await asyncio.open_connection(*self._target)
        self._writers += [back, out]
        await asyncio.gather(carry(near, out), carry(far, back))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, trustme.CA]:
    directory = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    found = Files(directory / "ca.pem", directory / "client.pem")
    authority.cert_pem.write_to_path(str(found.ca))
    authority.issue_cert("worker.example").private_key_and_cert_chain_pem.write_to_path(
        str(found.cert)
    )
    return found, authority


@pytest.fixture
def terminator(files: tuple[Files, trustme.CA], url: str) -> Iterator[Terminator]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    files[1].issue_cert("queue.example").configure_cert(context)
    files[1].configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    address = parse(url)
    made = Terminator(context, (address.host, address.port))
    yield made
    made.close()


@pytest.fixture
def secure(terminator: Terminator, files: tuple[Files, trustme.CA]) -> str:
    paths = files[0]
    options = f"ca={paths.ca}&cert={paths.cert}&name=queue.example"
    return f"stalkd+tls://127.0.0.1:{terminator.port}?{options}"


def test_a_large_job_there_and_back(secure: str, tube: str) -> None:
    body = bytes(range(256)) * 200
    with Client(secure, use=tube, watch=tube) as client:
        number = client.put(body)
        job = client.reserve(5)
        assert (job.id, job.body) == (number, body)
        client.delete(job)
        assert isinstance(client._stream, TlsStream)


def test_many_values(secure: str, tube: str) -> None:
    with Queue(tube, secure) as queue:
        assert queue.push_many(number for number in range(20_000)) == 20_000
        assert [lease.value for lease in queue.lease(100)] == list(range(100))


def test_no_answer_in_time(secure: str, tube: str) -> None:
    with Client(secure, watch=tube, patience=0.05) as client:
        client.stats()
        stream = client._stream
        assert stream is not None
        with pytest.raises(TimeoutError):
            stream.receive(None)


def test_an_interrupted_wait_does_not_vouch_for_what_comes_later(
    secure: str, tube: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first Ctrl-C comes while nothing does, the second between a receive and its buffer."""

    def interrupt(*_: object) -> NoReturn:
        monkeypatch.undo()
        raise KeyboardInterrupt

    with Client(secure, use=tube, watch=tube) as client:
        client.put("x")
        job = client.reserve(5)
        monkeypatch.setattr(TlsStream, "_wait", interrupt_in_wait(interrupt))
        with pytest.raises(KeyboardInterrupt):
            client.stats_job(job)
        assert client._stream is not None
        assert select.select([client._stream._socket], [], [], 10)[0]
        monkeypatch.setattr(Buffer, "add", interrupt)
        with pytest.raises(KeyboardInterrupt):
            client.list_tube_used()
        assert not client.holds(job)  # What was received is lost, so the connection was closed.
        assert client.list_tube_used() == tube


def interrupt_in_wait(interrupt: Callable[[], NoReturn]) -> Callable[[TlsStream, int], None]:
    def wait(stream: TlsStream, _: int) -> None:
        stream.is_waiting = True
        interrupt()

    return wait


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_async(secure: str, tube: str, backend: str) -> None:
    async def main() -> None:
        async with AsyncClient(secure, use=tube, watch=tube) as client:
            await client.put("x")
            job = await client.reserve(5)
            assert job.body == b"x"
            await client.delete(job)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("wrong", ["name=queue.example", "ca={ca}", "ca={ca}&name=queue.example"])
def test_wrong_certificates(
    terminator: Terminator, files: tuple[Files, trustme.CA], wrong: str
) -> None:
    """Not trusted; another name; no certificate of our own, which shows with the first reply."""
    options = wrong.format(ca=files[0].ca)
    with (
        Client(f"stalkd+tls://127.0.0.1:{terminator.port}?{options}") as client,
        pytest.raises(ConnectionError),
    ):
        client.stats()


def test_plain_clients_do_not_load_ssl() -> None:
    code = "import sys, stalkd_client; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True
    )
    assert "ssl" not in done.stdout.split()
