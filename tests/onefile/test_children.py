"""`stalk` and `stalk-worker` as one file each: what they start is themselves once more."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from stalkd_client import Client

from support.daemon import Daemon
from support.workers import worker

Program = Callable[[str], Path]

HANDLERS = """\
import asyncio, ctypes, decimal, hashlib, sqlite3, ssl, zoneinfo
import traceback

from stalkd_client import Client
from stalkd_client.worker import Pipeline, Stage


def modules(message):
    row = sqlite3.connect(":memory:").execute("select ?", (message,)).fetchone()
    return [row[0], str(decimal.Decimal("0.1") * 3), hashlib.sha256(b"x").hexdigest()[:4]]


def borrowed(message):
    import neighbour

    return neighbour.VALUE + message


def failure(message):
    try:
        Client("nonsense://")
    except ValueError:
        return traceback.format_exc()


async def waiting(message):
    await asyncio.sleep(0)
    return message * 2


pipeline = Pipeline(Stage(waiting, queue="in", output="out"))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "handlers.py").write_text(HANDLERS)
    return tmp_path / "code"


@pytest.fixture
def url(daemon: Daemon) -> str:
    return "stalkd://{}:{}".format(*daemon.address)


def result(program: Program, folder: Path, url: str, *options: str) -> object:
    """What a worker makes of the message 21."""
    command = [str(program("stalk-worker"))]
    with Client(url, use="in", watch="out") as client:
        client.put("21")
        with worker(url, "--burst", *options, command=command, cwd=folder) as made:
            assert made.wait() == 0, made.told()
        return json.loads(client.reserve(timeout=10).body)


ONE = ("-q", "in", "-o", "out")


def test_handlers_have_the_standard_library(program: Program, folder: Path, url: str) -> None:
    given = result(program, folder, url, *ONE, "handlers:modules")
    assert given == [21, "0.3", "2d71"]


def test_a_handler_of_a_file(program: Program, folder: Path, url: str) -> None:
    assert result(program, folder, url, *ONE, "./handlers.py:waiting") == 42


def test_a_pipeline_of_a_python_file(program: Program, folder: Path, url: str) -> None:
    assert result(program, folder, url, "handlers.py") == 42


def test_a_program_for_each_job(program: Program, folder: Path, url: str) -> None:
    assert result(program, folder, url, *ONE, "--exec", "tr 12 34") == 43


def test_other_modules_come_from_where_the_environment_says(
    program: Program, folder: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "neighbour.py").write_text("VALUE = 100\n")
    monkeypatch.setenv("PYTHONPATH", f"/nowhere:{tmp_path / 'more'}")
    assert result(program, folder, url, *ONE, "handlers:borrowed") == 121


def test_what_fails_is_told_with_its_lines(program: Program, folder: Path, url: str) -> None:
    told = str(result(program, folder, url, *ONE, "handlers:failure"))
    assert "stalkd_client/address.py" in told
    assert "\n    raise ValueError(" in told


def test_once_needs_no_server(program: Program, folder: Path) -> None:
    done = subprocess.run(
        [program("stalk-worker"), "--once", "handlers:waiting"],
        cwd=folder,
        input="1\n2\n",
        check=True,
        capture_output=True,
        text=True,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [2, 4]


def test_stalk_starts_the_private_daemon_that_it_holds(program: Program, tmp_path: Path) -> None:
    url = f"local:{tmp_path / 'queue'}"
    env = {**os.environ, "STALKD_URL": url}
    stalk = str(program("stalk"))
    subprocess.run([stalk, "put", "mail", "hello"], env=env, check=True, stdin=subprocess.DEVNULL)
    told = subprocess.check_output([stalk, "ls", "--json"], env=env, text=True)
    tubes = {each["name"]: each for each in map(json.loads, told.splitlines())}
    assert tubes["mail"]["current-jobs-ready"] == 1
    with Client(url) as client:
        pid = int(str(client.stats()["pid"]))
    assert os.readlink(f"/proc/{pid}/exe") == stalk  # noqa: PTH115 - a path that is compared
    os.kill(pid, 15)
