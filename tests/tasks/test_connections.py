"""Connections of tasks: one for each thread and server, none across forks, none left open."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stalkd_client import Client, Tasks
from stalkd_client.tasks import connections

from support.daemon import free_port, start_stalkd


def tell(word: str) -> str:
    return word


@pytest.fixture
def watcher(url: str) -> Iterator[Client]:
    with Client(url) as client:
        client.stats()
        yield client


def others(watcher: Client, expected: int) -> bool:
    """Wait until there are so many connections beside the watcher's: hanging up takes a moment."""
    while len(watcher.list_clients()) - 1 != expected:
        pass
    return True


def test_one_for_each_thread(tasks: Tasks, watcher: Client) -> None:
    made = tasks.task(tell)
    assert others(watcher, 0)  # None before it is needed.
    made.delay("a")
    made.options(queue="other").delay("b")
    assert others(watcher, 1)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(made.delay, "c").result()
        pool.submit(made.delay, "d").result()
        assert others(watcher, 2)
    assert others(watcher, 1)  # Closed at the end of its thread.
    tasks.close()
    assert others(watcher, 0)
    made.delay("e")
    assert others(watcher, 1)


def test_a_handle_serves_any_thread(tasks: Tasks) -> None:
    handle = tasks.enqueue(tell, "a")
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(handle.done).result()


def test_the_queue_is_found_again_after_a_reply_was_read(tasks: Tasks, watcher: Client) -> None:
    first = tasks.enqueue(tell, "a")
    watcher.delete(first.id)
    assert first.wait(5) == "gone"
    second = tasks.enqueue(tell, "b")
    assert watcher.stats_job(second.id)["tube"] == first._connect().client.list_tube_used()


def test_a_server_that_was_restarted_is_found_before_a_job_is_put(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "IDLE_S", -1.0)
    port = str(free_port())
    tasks = Tasks(url=f"stalkd://127.0.0.1:{port}", queue="q")
    for _ in range(3):
        with start_stalkd("-p", port):
            assert tasks.enqueue(tell, "a").id == 1
    with pytest.raises(ConnectionError):
        tasks.enqueue(tell, "a")
    tasks.close()


def test_a_thread_keeps_a_bounded_number(url: str, watcher: Client) -> None:
    found = connections.Connections()
    for number in range(connections.MOST_SERVERS + 3):
        found.to(url + "/" * number).client.stats()
    assert others(watcher, connections.MOST_SERVERS)
    assert found.to(url + "//////") is found.to(url + "//////")
    found.close()


FORKS = """
import os, sys
from stalkd_client import Tasks, task

def tell(word): ...

tasks = Tasks(queue="q")
made = tasks.task(name="tell")(tell)
first = made.delay("before")
child = os.fork()
second = made.delay("child" if child == 0 else "parent")
assert not first.done()
third = made.delay("again")
os.write(1, b"%d %d\\n" % (second.id, third.id))  # One write, not mixed with the other's.
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_fork(url: str) -> None:
    """Parent and child push on connections of their own, and nobody complains at the end."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", FORKS],
        env={**os.environ, "STALKD_URL": url},
        check=True,
        capture_output=True,
        text=True,
    )
    assert (done.stderr, len(set(done.stdout.split()))) == ("", 4)


LIGHT = """
import sys
import stalkd_client
print(*sys.modules)
"""


def test_the_import_is_light() -> None:
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", LIGHT], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()
    heavy = {"asyncio", "trio", "anyio", "click", "pytest", "concurrent.futures", "subprocess"}
    assert not heavy & set(loaded)
    assert "stalkd_client.tasks.app" in loaded


def test_a_socket_of_its_own(tmp_path: Path) -> None:
    """STALKD_URL is read at each push, and a server may be behind a unix socket."""
    path = str(tmp_path / "s")
    tasks = Tasks(queue="q")
    with start_stalkd(unix=path):
        assert tasks.task(tell).options(url=f"unix:{path}").delay("a").id == 1
    tasks.close()
