"""Restarts, forks, tasks, and servers that lack the extended commands."""

from __future__ import annotations

import os
import signal

import anyio
import pytest
from stalkd_client import Client, UnsupportedByServerError, WrongUseError
from stalkd_client.aio import AsyncClient

from support.daemon import free_port, start_stalkd


def test_what_was_used_and_watched_is_so_again() -> None:
    port = str(free_port())
    with Client(f"stalkd://127.0.0.1:{port}", retry_for=10) as client:
        with start_stalkd("-p", port):
            client.use("a")
            client.watch("b")
            client.ignore("default")
        with start_stalkd("-p", port):
            assert client.list_tube_used() == "a"
            assert client.list_tubes_watched() == ["b"]
            number = client.put("x", key="k")
            assert client.peek_ready().id == number


def test_a_client_is_not_used_across_a_fork(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(url) as client:
        assert "not connected" in repr(client)
        client.stats()
        assert ", connected, holds 0 jobs" in repr(client)
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            with pytest.raises(WrongUseError, match="fork"):
                client.stats()
        client.stats()


def test_a_forked_process_keeps_no_lease_alive(url: str, tube: str) -> None:
    """It has a copy of the socket, and lives on."""
    with Client(url, use=tube, watch=tube) as client, Client(url, watch=tube) as other:
        number = client.put("x", ttr=600)
        client.reserve(0)
        child = os.fork()
        if not child:
            signal.pause()
        try:
            client.close()
            assert other.reserve(5).id == number
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


@pytest.mark.needs("beanstalkd")
def test_the_original_lacks_the_extended_commands_and_stays_usable(original: str) -> None:
    with Client(original) as client:
        number = client.put("x")
        for ask in (
            lambda: client.reserve_batch(1),
            lambda: client.touch(number, 1),
            lambda: client.wait_job(number, 0),
            lambda: client.list_jobs("default"),
            lambda: client.explain_job(number),
            lambda: client.purge_tube("default"),
            lambda: client.release_tube("default"),
            lambda: client.move_jobs("default", "ready", "other", 1),
            lambda: client.set_policy("default", attempts=1),
            lambda: client.get_policy("default"),
            client.stats_tubes,
            client.list_clients,
            client.drain,
        ):
            with pytest.raises(UnsupportedByServerError):
                ask()
        assert client.reserve(0).id == number


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_second_task_is_refused(url: str, tube: str, backend: str) -> None:
    async def main() -> None:
        async with AsyncClient(url, use=tube, watch=tube) as client, anyio.create_task_group() as g:
            await client.stats()
            g.start_soon(client.reserve)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(WrongUseError):
                await client.stats()
            g.cancel_scope.cancel()

    anyio.run(main, backend=backend)
