"""What a worker tells a service manager (sd_notify(3))."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from stalkd_client import Queue

from support.manager import Manager, service_manager
from support.workers import CODE, COMMAND, Worker, wait_until, worker

WATCHDOG_US = 400_000


@contextmanager
def managed(
    url: str, *options: str, command: Sequence[str] = COMMAND, **variables: str
) -> Iterator[tuple[Manager, Worker]]:
    with service_manager() as manager:
        full = [*manager.environment(**variables), *command]
        with worker(url, *options, command=full) as made:
            yield manager, made


def push(url: str, tube: str, *values: object) -> None:
    with Queue(tube, url) as queue:
        queue.push_many(values)


def test_it_is_ready_works_and_stops(url: str, tube: str) -> None:
    with managed(url, "work:double", "-q", tube) as (manager, made):
        starting, ready, working = manager.wait_for("STATUS=working")
        assert starting == ["STATUS=starting: 0 done, 0 failed, 0 of 1 slots busy"]
        assert ready == ["READY=1"]
        assert working == ["STATUS=working: 0 done, 0 failed, 0 of 1 slots busy"]
        made.wait_for(" working ")
        push(url, tube, 1)
        manager.wait_for("STATUS=working: 1 done, ")
        assert made.stop() == 0
        assert manager.rest()[0] == ["STOPPING=1"]


def test_it_is_not_ready_before_every_stage_is(url: str, tube: str, tmp_path: Path) -> None:
    """One of them waits here; a worker of which the other is ready is not ready."""
    go = tmp_path / "go"
    (tmp_path / "late.py").write_text(
        "import pathlib, time\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.005)\n"
        "def handle(value): return value\n"
    )
    (tmp_path / "quick.py").write_text("def handle(value): return value\n")
    pipeline = tmp_path / "pipeline.toml"
    pipeline.write_text(
        f'[[stage]]\nhandler = "quick:handle"\nqueue = "{tube}"\n'
        f'[[stage]]\nhandler = "late:handle"\nqueue = "{tube}.2"\n'
    )
    with managed(url, str(pipeline)) as (manager, made):
        made.wait_for(f"queues={tube} ")
        manager.wait_for("STATUS=starting")
        manager.expect_silence(0.1)
        go.touch()
        assert manager.next() == ["READY=1"]


def test_a_handler_that_cannot_be_imported_is_never_ready(url: str, tube: str) -> None:
    with managed(url, "nowhere:handle", "-q", tube) as (manager, made):
        assert made.wait() == 1
        heard = manager.rest()
        assert ["READY=1"] not in heard
        assert ["STOPPING=1"] in heard


def test_states_are_told(url: str, tube: str) -> None:
    """It is ready once, whatever comes then."""
    with managed(url, "work:double", "-q", tube) as (manager, made):
        manager.wait_for("STATUS=working")
        made.signal(signal.SIGUSR1)
        manager.wait_for("STATUS=quiet")
        made.signal(signal.SIGUSR2)
        assert manager.next()[0].startswith("STATUS=working")


def test_signs_of_life_come_in_time(url: str, tube: str) -> None:
    """Though it looks at all else once in a second only."""
    variables = {"WATCHDOG_USEC": str(WATCHDOG_US)}
    with managed(url, "work:double", "-q", tube, **variables) as (manager, made):
        manager.wait_for("READY=1")
        for _ in range(4):
            manager.wait_for("WATCHDOG=1")
        made.signal(signal.SIGSTOP)  # It hangs: nothing else in it may say that it is alive.
        wait_until(lambda: _is_stopped(made))
        manager.rest()
        manager.expect_silence(2 * WATCHDOG_US / 1_000_000)
        made.signal(signal.SIGCONT)
        manager.wait_for("WATCHDOG=1")


def _is_stopped(made: Worker) -> bool:
    stat = Path(f"/proc/{made.process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def test_the_variables_are_not_for_handlers(url: str, tube: str) -> None:
    """What they start is no part of the service for its manager."""
    program = "sh -c 'cat >/dev/null; env | grep -c -e NOTIFY_SOCKET -e WATCHDOG || true'"
    variables = {"WATCHDOG_USEC": "9000000"}
    push(url, tube, 1)
    options = ["--exec", program, "-q", tube, "-o", f"{tube}.out"]
    with managed(url, *options, **variables), Queue(f"{tube}.out", url, codec="bytes") as out:
        (found,) = out.pop(1, timeout=10)
        assert bytes(found).strip() == b"0"


@pytest.mark.parametrize("address", ["/nowhere/notify", "relative", "@nobody"])
def test_a_socket_that_cannot_be_used_stops_nothing(url: str, tube: str, address: str) -> None:
    command = ["env", f"NOTIFY_SOCKET={address}", "WATCHDOG_USEC=20000", *COMMAND]
    with worker(url, "work:double", "-q", tube, "-o", f"{tube}.out", command=command) as made:
        push(url, tube, 21)
        with Queue(f"{tube}.out", url) as out:
            assert out.pop(1, timeout=10) == [42]
        assert made.stop() == 0
        assert made.count(f" cannot-notify socket={address} ") == 1


def test_a_worker_in_the_background_of_a_service_says_nothing(
    url: str, tube: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program is the service, and says itself when it is ready."""
    monkeypatch.chdir(CODE)
    with service_manager() as manager, Queue(tube, url) as queue:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
        with queue.attach("work:double", f"{tube}.out"):
            queue.push(21)
            with Queue(f"{tube}.out", url) as out:
                assert out.pop(1, timeout=10) == [42]
        assert manager.rest() == []
