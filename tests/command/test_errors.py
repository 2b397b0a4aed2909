"""Errors are one line and an exit code; nobody sees a traceback."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from stalkd_client import Client
from stalkd_client.command.exits import CommandError
from stalkd_client.command.top import _screen

from support.daemon import free_port
from support.stalk import PROGRAM, Stalk, start


def test_no_server(run: Stalk) -> None:
    url = f"stalkd://127.0.0.1:{free_port()}"
    out = run("ls", "--url", url)
    assert (out.code, out.out) == (3, "")
    assert out.err == (
        f"stalk: cannot connect to {url}: Connection refused;"
        " is the daemon running? start it with `stalkd`\n"
    )


def test_no_socket(run: Stalk) -> None:
    out = run("ls", "--url", "unix:/nowhere/socket")
    assert (out.code, "No such file or directory" in out.err) == (3, True)


def test_the_server_of_the_environment(
    run: Stalk, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STALKD_URL", url)
    assert run("ls").code == 0
    assert run("--url", "stalkd://127.0.0.1:1", "ls", "--url", url).code == 0


@pytest.mark.parametrize("where", [["--url", "nonsense", "ls"], ["ls", "--url", "nonsense"]])
def test_a_bad_address(run: Stalk, where: list[str]) -> None:
    out = run(*where)
    assert (out.code, out.err.count("\n")) == (2, 1)


def test_a_server_that_is_none(run: Stalk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = start("ls", "--url", f"stalkd://127.0.0.1:{listener.getsockname()[1]}")
        peer = listener.accept()[0]
        peer.sendall(b"220 smtp.example.org ESMTP\r\n")
        err = process.communicate(timeout=20)[1].decode()
        peer.close()
    assert process.returncode == 3
    assert "is no Beanstalk server" in err
    assert err.count("\n") == 1


def test_an_export_whose_connection_is_reset(
    stalk: Stalk, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the file that cannot be written."""

    def reset(*_: object, **__: object) -> None:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    client.put("x")
    monkeypatch.setattr(Client, "list_jobs", reset)
    out = stalk("export", "mail", "-o", str(tmp_path / "file"))
    assert (out.code, "lost the connection" in out.err) == (3, True)
    assert not list(tmp_path.iterdir())


def test_a_bug_is_one_line(run: Stalk, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "stats", lambda _: 1 / 0)
    out = run("stats", "--url", url)
    assert out.code == 70
    assert out.err.startswith("stalk: this is a bug: ZeroDivisionError")
    assert out.err.count("\n") == 1


def test_a_reader_that_goes_is_no_error(client: Client, url: str) -> None:
    for _ in range(300):
        client.put("x" * 2000)
    with start("export", "mail", "--url", url) as process:
        assert process.stdout is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(20) == 141


def test_ctrl_c_is_quiet(client: Client, url: str) -> None:
    client.put("x")
    process = start("wait-empty", "mail", "--url", url)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 130


def test_a_reserve_that_is_interrupted_gives_the_job_back(client: Client, url: str) -> None:
    process = start("reserve", "mail", "--timeout", "1h", "--then", "ack", "--url", url)
    while client.stats()["current-waiting"] == 0:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 130
    job = client.put("x")
    assert client.stats_job(job)["state"] == "ready"


def test_the_library_does_not_load_the_command() -> None:
    code = "import sys, stalkd_client; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-P", "-c", code], text=True).split()
    assert not {"click", "textual", "rich", "stalkd_client.command"} & set(loaded)


def test_the_command_does_not_load_its_extra() -> None:
    code = "import sys, stalkd_client.command.root; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-P", "-c", code], text=True).split()
    assert not {"textual", "rich"} & set(loaded)


def test_version() -> None:
    out = subprocess.check_output([PROGRAM, "--version"], text=True)
    assert out.startswith("stalk ")


@pytest.mark.parametrize("words", ["ls", "export mail", "--help", "--version", "ls --json"])
def test_a_full_disk_is_not_the_fault_of_the_server(client: Client, url: str, words: str) -> None:
    client.put("x" * 60_000)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [PROGRAM, *words.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "STALKD_URL": url},
            timeout=20,
            check=False,
        )
    assert done.stderr == b"stalk: cannot write the output: No space left on device\n"
    assert done.returncode == 1


@pytest.mark.parametrize("closed", [">&-", "<&-", ">&- 2>&- <&-"])
def test_streams_may_be_closed(client: Client, url: str, closed: str) -> None:
    client.put("x")
    text = f"{PROGRAM} ls {closed} && {PROGRAM} kick mail {closed}; test $? = 1"
    done = subprocess.run(
        ["sh", "-c", text],
        capture_output=True,
        env={**os.environ, "STALKD_URL": url},
        timeout=20,
        check=False,
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("missing", ["textual", "rich"])
def test_top_says_what_it_needs(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "stalkd_client.command.screen", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    for name in [each for each in sys.modules if each.startswith(f"{missing}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(CommandError, match=r"stalkd\[top\]"):
        _screen()
