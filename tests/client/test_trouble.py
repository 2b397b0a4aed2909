"""Ctrl-C at random moments, and servers that are killed under load: nothing lost or mixed up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from stalkd_client import Client, ExistsError, Job, LeaseLostError, TimedOutError

from support.daemon import Daemon, free_port, start_stalkd
from support.interrupted import Ledger, take_all

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("seed", range(4))
def test_ctrl_c_at_random_moments(url: str, tube: str, seed: int) -> None:
    command = [sys.executable, "-P", "-m", "support.interrupted", url, tube, str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(
        command, env=environment, check=False, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    assert "GeneratorExit" not in done.stderr


@pytest.mark.timeout(120)
def test_a_server_that_is_killed_again_and_again(tmp_path: Path) -> None:
    """Commands go on, or say what is not known; what was said to be done, is done."""
    port, ledger, random = str(free_port()), Ledger(), Random(1)
    options = ("-p", port, "-b", str(tmp_path / "log"), "-f", "0")
    done = threading.Event()
    killed: list[int] = []

    def torment(client_is_at_work: Callable[[], int]) -> None:
        while not done.is_set():
            with start_stalkd(*options) as daemon:
                start = client_is_at_work()
                while client_is_at_work() < start + 150 and not done.is_set():
                    done.wait(0.001)
                end(daemon)
            killed.append(1)

    def end(daemon: Daemon) -> None:
        if not done.is_set():
            daemon.kill()

    steps = 0
    tormentor = threading.Thread(target=torment, args=[lambda: steps])
    tormentor.start()
    try:
        with Client(f"stalkd://127.0.0.1:{port}", retry_for=30) as client:
            held: list[Job] = []
            while len(killed) < 8:
                steps += 1
                act = random.choice([put_with_key, put_with_key, reserve, delete])
                act(client, ledger, held)
    finally:
        done.set()
        tormentor.join(60)
    with start_stalkd(*options), Client(f"stalkd://127.0.0.1:{port}") as client:
        ledger.close(take_all(client))
    assert len(ledger.deleted) > 100


def put_with_key(client: Client, ledger: Ledger, held: list[Job]) -> None:
    """It is repeated as long as the job lives: it may be put, taken by us, and then not be new."""
    number = ledger.new()
    try:
        ledger.was_put(number, client.put(str(number), key=f"k{number}"))
    except ExistsError as error:  # The first attempt was done, and not answered.
        ledger.was_put(number, error.id)


def reserve(client: Client, ledger: Ledger, held: list[Job]) -> None:
    with suppress(TimedOutError):
        held.append(client.reserve(0))
        ledger.check(held[-1])


def delete(client: Client, ledger: Ledger, held: list[Job]) -> None:
    if held:
        job = held.pop()
        try:
            client.delete(job)
        except LeaseLostError:
            return
        except ConnectionError:
            ledger.perhaps_deleted.add(job.id)
        else:
            ledger.deleted.add(job.id)
