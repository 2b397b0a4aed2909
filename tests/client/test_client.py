"""The blocking client and real servers; and that it loads nothing it does not need."""

from __future__ import annotations

import inspect
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute
from stalkd_client import (
    Client,
    ExistsError,
    Job,
    LeaseLostError,
    NotFoundError,
    Queue,
    TimedOutError,
    UnsupportedByServerError,
    WrongUseError,
    beyond,
    conversation,
    requests,
    stream,
)
from stalkd_client.aio import AsyncClient
from stalkd_client.exchange import Request


def test_a_job_from_put_to_delete(url: str, tube: str) -> None:
    with Client(url, use=tube, watch=tube) as client:
        number = client.put("hällo")
        job = client.reserve(0)
        assert (job.id, job.body) == (number, "hällo".encode())
        client.touch(job)
        client.touch(job, 2.5)
        client.release(job)
        client.bury(client.reserve(0))
        assert client.peek_buried().id == number
        assert client.kick(1) == 1
        client.delete(client.reserve_job(number))
        with pytest.raises(TimedOutError):
            client.reserve(0)
        with pytest.raises(NotFoundError):
            client.peek(number)


def test_a_key_is_there_once(url: str, tube: str) -> None:
    with Client(url, use=tube) as client:
        number = client.put("a", key="k")
        with pytest.raises(ExistsError) as caught:
            client.put("b", key="k")
        assert caught.value.id == number


@pytest.mark.needs("beanstalkd")
def test_a_put_with_never_reaches_the_original(original: str) -> None:
    """It would take the body for commands."""
    with Client(original) as client:
        kept = client.put("keep me")
        body = b"delete %d\r\n" % kept
        with pytest.raises(UnsupportedByServerError):
            client.put(body, key="k")
        with pytest.raises(UnsupportedByServerError):
            client.put(body, delay=0.5)
        with pytest.raises(UnsupportedByServerError):
            client.pour([b"put-with 0 0 1 %d key=k\r\n%b\r\n" % (len(body), body)], extended=True)
        assert client.peek(kept).body == b"keep me"
        assert client.stats()["cmd-delete"] == 0


@pytest.mark.needs("beanstalkd")
def test_a_queue_on_the_original(original: str) -> None:
    with Queue("q", original) as queue:
        queue.push_many([1, 2, 3])
        leases = queue.lease(5)
        assert [lease.value for lease in leases] == [1, 2, 3]
        assert leases[0].attempt == 1
        assert queue.ack(leases) == 3
        assert queue.count() == 0


@pytest.mark.needs("beanstalkd")
def test_an_interrupted_lease_of_many_on_the_original_holds_none(
    original: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Queue("q", original) as queue:
        queue.push_many([1, 2, 3])
        reserve, waits = queue.client.reserve, iter([0.0, 0.0, None])

        def interrupted(timeout: float | None) -> Job:
            if next(waits) is None:
                raise KeyboardInterrupt
            return reserve(timeout)

        with monkeypatch.context() as patch:
            patch.setattr(queue.client, "reserve", interrupted)
            with pytest.raises(KeyboardInterrupt):
                queue.lease(3)
        assert queue.count("ready") == 3


def test_a_job_of_an_earlier_connection_is_lost(url: str, tube: str) -> None:
    with Client(url, use=tube, watch=tube) as client:
        client.put("x")
        job = client.reserve(0)
        client.close()
        with pytest.raises(LeaseLostError):
            client.delete(job)
        client.delete(client.reserve(0))


def test_leases_of_a_lost_connection_are_not_acknowledged(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        queue.push_many([1, 2])
        leases = queue.lease(2)
        queue.client.close()
        assert queue.ack(leases) == 0
        assert queue.count("ready") == 2


def test_another_thread_is_refused(url: str, tube: str) -> None:
    with Client(url, watch=tube) as client:
        client.stats()
        waiting = threading.Thread(target=client.reserve)
        waiting.start()
        with Client(url, use=tube) as other:
            while not other.stats()["current-waiting"]:
                pass
            with pytest.raises(WrongUseError):
                client.stats()
            other.put("x")
        waiting.join(10)
        assert not waiting.is_alive()


@pytest.mark.parametrize("held", [0, 1])
def test_an_interrupted_reserve_costs_no_job(url: str, tube: str, held: int) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        with Client(url, use=tube, watch=tube) as client, Client(url, use=tube) as other:
            kept = [client.reserve_job(client.put("held")) for _ in range(held)]
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(KeyboardInterrupt):
                client.reserve()
            late = other.put("late", priority=7)
            for job in kept:
                client.delete(job)
            job = client.reserve(5)
            assert job.id == late
            assert client.stats_job(job)["pri"] == 7
            client.delete(job)
    finally:
        signal.signal(signal.SIGALRM, old)


class InterruptedLock:
    """Ctrl-C comes while it is opened."""

    def locked(self) -> bool:
        return False

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("ask", [requests.reserve(0), beyond.reserve_batch(1)])
@pytest.mark.parametrize("together", [False, True])
def test_an_interruption_at_the_last_moment_costs_no_job(
    url: str, tube: str, ask: Request[Any], together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is there, and nobody ever gets it from us."""
    with Client(url, use=tube, watch=tube) as client, Client(url, watch=tube) as other:
        number = client.put("x")
        with monkeypatch.context() as patch:
            patch.setattr(client, "_lock", InterruptedLock())
            with pytest.raises(KeyboardInterrupt):
                client.execute_all([ask]) if together else client.execute(ask)
        assert other.reserve(5).id == number


def test_each_of_a_row_may_take_its_time(url: str, tube: str) -> None:
    """Not only the last one."""
    with Client(url, watch=tube, patience=0.2) as client:
        row: list[Request[Any]] = [requests.reserve(1), requests.stats()]
        late, told = client.execute_all(row)
        assert isinstance(late, TimedOutError)
        assert isinstance(told, dict)


def test_a_put_is_repeated_only_with_a_key() -> None:
    """The connection ends after the put was sent: who knows whether it was done?"""
    ours, theirs = socket.socketpair()
    with ours, theirs, Client("stalkd://127.0.0.1:1", sock=ours, retry_for=0) as client:
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionError, match="not known"):
            client.put("x")


REPLY = b"RESERVED 1 9\r\nDELETED\r\n\r\n"


@pytest.mark.parametrize("size", range(len(REPLY)))
def test_a_reply_that_is_cut_is_never_a_result(size: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Client("stalkd://127.0.0.1:1", sock=ours) as client:
        theirs.sendall(REPLY[:size])
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionError):
            client.reserve(0)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_async_reserve_is_cancelled_without_loss(
    url: str, tube: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "SLICE_S", 1)

    async def main() -> None:
        async with AsyncClient(url, use=tube, watch=tube) as client:
            first = await client.reserve_job(await client.put("first"))
            with anyio.move_on_after(0.05) as scope:
                await client.reserve()
            assert scope.cancelled_caught
            number = await client.put("second")
            await client.delete(first)
            job = await client.reserve(5)
            assert job.id == number
            await client.delete(job)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_async_ctrl_c_between_a_receive_and_its_buffer(
    url: str, tube: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes are lost, so the connection must not be read any further."""

    def interrupt(*_: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    async def main() -> None:
        async with AsyncClient(url, use=tube, watch=tube, patience=5) as client:
            await client.put("x")
            job = await client.reserve(0)
            monkeypatch.setattr(stream.Buffer, "add", interrupt)
            with pytest.raises(KeyboardInterrupt):
                await client.stats_job(job)
            assert not client.holds(job)
            assert await client.list_tube_used() == tube
            assert (await client.reserve(5)).id == job.id

    anyio.run(main, backend=backend)


OWN_METHODS = {"close", "execute", "execute_all", "pour", "holds"}
NO_COMMANDS = {"probe"}  # it is asked by itself


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, Callable[..., Any]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: method for name, method in found if not name.startswith("_")}

    commands = {
        name
        for module in (requests, beyond)
        for name, make in inspect.getmembers(module, inspect.isfunction)
        if make.__module__ == module.__name__ and not name.startswith("_")
        if str(inspect.signature(make).return_annotation).startswith("Request[")
    }
    ours, theirs = methods(Client), methods(AsyncClient)
    del ours["interrupt"]  # Async programs cancel.
    assert ours.keys() == theirs.keys()
    assert ours.keys() - OWN_METHODS == commands - NO_COMMANDS
    for name, method in ours.items():
        assert inspect.signature(method) == inspect.signature(theirs[name]), name
        assert method.__doc__ == theirs[name].__doc__, name


def must_notice(sock: socket.socket) -> None:
    """Whoever waits for jobs of a machine that is gone shall know it in two minutes."""
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    idle, each, count = (
        sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
    )
    assert idle + each * count <= 120


def test_a_dead_peer_is_noticed(url: str) -> None:
    with Client(url) as client:
        client.stats()
        assert client._stream is not None
        must_notice(client._stream._socket)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_dead_peer_is_noticed_by_async_programs(url: str, backend: str) -> None:
    async def main() -> None:
        async with AsyncClient(url) as client:
            await client.stats()
            assert client._stream is not None
            stream = client._stream._stream
            sock = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
            must_notice(sock)

    anyio.run(main, backend=backend)


def test_a_wait_can_be_ended_by_another_thread(url: str, tube: str) -> None:
    """No job is lost by that, and the client can be used again."""
    with Client(url, use=tube, watch=tube) as client, Client(url, use=tube) as other:
        client.list_tube_used()

        def interrupt() -> None:
            deadline = time.monotonic() + 10
            while other.stats_tube(tube)["current-waiting"] != 1 and time.monotonic() < deadline:
                time.sleep(0.001)
            client.interrupt()

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(ConnectionError):
            client.reserve(30)
        thread.join()
        job_id = other.put(b"here")
        assert client.reserve(5).id == job_id


def test_import_loads_no_framework() -> None:
    code = "import sys, stalkd_client; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True
    )
    assert not {"trio", "anyio", "asyncio", "click"} & set(done.stdout.split())
