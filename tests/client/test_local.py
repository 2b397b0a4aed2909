"""Private daemons: started by who needs them, shared by all, gone when nobody does."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from stalkd_client import Client, Queue, local
from stalkd_client.aio import AsyncClient


@pytest.fixture
def place() -> Iterator[str]:
    """A directory for a daemon, which is ended after the test."""
    with tempfile.TemporaryDirectory(prefix="stalkd-local-") as name:
        yield f"{name}/queue"
        end(f"{name}/queue")


def pid_of(place: str) -> int:
    with Client(f"local:{place}") as client:
        return int(str(client.stats()["pid"]))


def end(place: str, number: signal.Signals = signal.SIGTERM) -> None:
    """End the daemon of a directory, if there is one, and wait until it is gone."""
    sock = local._knock(place, time.monotonic() + 10)
    if sock is not None:
        sock.close()
        pid = pid_of(place)
        os.kill(pid, number)
        while is_alive(pid):
            time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_jobs_survive_the_daemon(place: str) -> None:
    with Queue("q", f"local:{place}") as queue:
        queue.push("kept")
        assert Path(place).stat().st_mode & 0o777 == 0o700
    end(place, signal.SIGKILL)
    with Queue("q", f"local:{place}") as queue:
        assert queue.pop() == ["kept"]


def test_many_processes_start_one_daemon(place: str) -> None:
    """All at the same moment."""
    code = (
        "import sys; from stalkd_client import Queue\n"
        "queue = Queue('q', sys.argv[1]); queue.push(1); print(queue.client.stats()['pid'])"
    )
    command = [sys.executable, "-P", "-c", code, f"local:{place}"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(8)]
    pids = {each.communicate(timeout=50)[0] for each in running}
    assert [each.returncode for each in running] == [0] * 8
    assert pids == {b"%d\n" % pid_of(place)}
    with Queue("q", f"local:{place}") as queue:
        assert queue.count() == 8


def test_the_daemon_outlives_who_started_it(place: str) -> None:
    code = "import sys; from stalkd_client import Queue; Queue('q', sys.argv[1]).push(1)"
    subprocess.run([sys.executable, "-P", "-c", code, f"local:{place}"], check=True, timeout=50)
    with Queue("q", f"local:{place}") as queue:
        assert int(str(queue.client.stats()["uptime"])) >= 0
        assert queue.pop() == [1]


def test_a_daemon_that_is_just_ending_is_replaced(place: str) -> None:
    """Its log is still held when the next one starts."""
    with Client(f"local:{place}") as client:
        first = int(str(client.stats()["pid"]))
        client.put("x")
    os.kill(first, signal.SIGTERM)
    while (sock := local._knock(place, time.monotonic() + 10)) is not None:
        sock.close()
    with Client(f"local:{place}", watch="default") as client:
        assert client.reserve(0).body == b"x"
        assert client.stats()["pid"] != first


def test_a_deep_directory(place: str) -> None:
    """Longer than the path of a socket may be."""
    deep = "/".join([place, *["directory"] * 15])
    try:
        with Queue("q", f"local:{deep}") as queue:
            queue.push(1)
            assert queue.pop() == [1]
    finally:
        end(deep)


def test_a_daemon_that_cannot_start_says_why(place: str) -> None:
    log = Path(place, local.LOG)
    log.mkdir(parents=True)
    (log / "binlog.1").write_bytes(b"something else")
    monkey = pytest.MonkeyPatch()
    monkey.setattr(local, "RETRIES", 1)
    with monkey.context(), pytest.raises(ConnectionError, match=r"binlog\.1|log"):
        Client(f"local:{place}").stats()
    monkey.undo()


@pytest.mark.parametrize(("mode", "owner"), [(0o777, -1), (0o700, 12_345)])
def test_others_may_not_write_to_the_directory(place: str, mode: int, owner: int) -> None:
    """They could answer for the daemon, or let us empty a file of our own."""
    precious = Path(place).with_name("precious")
    precious.write_text("kept")
    Path(place).mkdir()
    Path(place, local.LOCK).symlink_to(precious)
    Path(place).chmod(mode)
    if owner >= 0:
        if os.geteuid():
            pytest.skip("only root can give a directory away")
        os.chown(place, owner, -1)
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(f"{place}/{local.SOCKET}")
        theirs.listen()
        with pytest.raises(ConnectionError, match="directory of your own"):
            Client(f"local:{place}").put("secret")
    assert precious.read_text() == "kept"


def test_nobody_waits_longer_than_asked_for_another_that_starts(place: str) -> None:
    Path(place).mkdir()
    with Path(place, local.LOCK).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        begun = time.monotonic()
        with pytest.raises(ConnectionError, match="another process is still starting"):
            Client(f"local:{place}", connect_timeout=0.1).stats()
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_async(place: str, backend: str) -> None:
    async def main() -> None:
        async with AsyncClient(f"local:{place}", watch="default") as client:
            await client.put("x")
            assert (await client.reserve(0)).body == b"x"

    anyio.run(main, backend=backend)


def test_the_daemon_ends_when_unused(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does so after a minute; here after a second, as the daemon's clock is its own."""
    assert local.COMMAND[-2:] == ("--idle-exit", "60")
    monkeypatch.setattr(local, "COMMAND", (*local.COMMAND[:-1], "1"))
    with Queue("q", f"local:{place}") as queue:
        queue.push("kept")
        pid = int(str(queue.client.stats()["pid"]))
    while is_alive(pid):  # The test's own time limit ends this.
        time.sleep(0.01)
    with Queue("q", f"local:{place}") as queue:
        assert queue.pop() == ["kept"]
