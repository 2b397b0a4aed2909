"""Every option in every form, and what is said about wrong ones."""

from __future__ import annotations

import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from stalkd import __version__
from stalkd.config import LARGEST_MAX_JOB_SIZE, Config
from support.command import STALKD, Command, complaint, run

DEFAULTS = {
    "listen": ("127.0.0.1",),
    "port": 11300,
    "user": None,
    "max_job_size": 65_535,
    "max_memory": None,
    "max_connections": None,
    "verbosity": 0,
    "sync_ms": 50,
    "segment_bytes": 10_485_760,
    "wal_dir": None,
    "exit_on_log_error": False,
    "idle_exit_s": None,
}

# Options -> what they change.
ACCEPTED: dict[str, dict[str, Any]] = {
    "": {},
    "-l 127.0.0.2": {"listen": ("127.0.0.2",)},
    "-l127.0.0.2": {"listen": ("127.0.0.2",)},
    "--listen 127.0.0.2": {"listen": ("127.0.0.2",)},
    "--listen=::1": {"listen": ("::1",)},
    "-l unix:/a/b": {"listen": ("unix:/a/b",)},
    "-l ::1 -l localhost --listen unix:x": {"listen": ("::1", "localhost", "unix:x")},
    "-p 0": {"port": 0},
    "-p0": {"port": 0},
    "-p 65535": {"port": 65_535},
    "-p 00011301": {"port": 11_301},
    "--port 11301": {"port": 11_301},
    "--port=11301": {"port": 11_301},
    "-p 1 -p 2": {"port": 2},
    "-u bob": {"user": "bob"},
    "-ubob": {"user": "bob"},
    "--user bob": {"user": "bob"},
    "--user=bob": {"user": "bob"},
    "-z 0": {"max_job_size": 0},
    "-z100": {"max_job_size": 100},
    "--max-job-size 100": {"max_job_size": 100},
    "--max-job-size=1073741824": {"max_job_size": 1 << 30},
    "--max-memory 1": {"max_memory": 1},
    "--max-memory=99999999999999": {"max_memory": 99_999_999_999_999},
    "--max-connections 1": {"max_connections": 1},
    "--max-connections=10": {"max_connections": 10},
    "-f 0 -b w": {"sync_ms": 0, "wal_dir": "w"},
    "-f0 -b w": {"sync_ms": 0, "wal_dir": "w"},
    "--sync-ms 1000 -b w": {"sync_ms": 1_000, "wal_dir": "w"},
    "-F -b w": {"sync_ms": None, "wal_dir": "w"},
    "--no-sync -b w": {"sync_ms": None, "wal_dir": "w"},
    "-F -f 10 -b w": {"sync_ms": None, "wal_dir": "w"},
    "-s 1 -b w": {"segment_bytes": 1, "wal_dir": "w"},
    "-s4096 -b w": {"segment_bytes": 4_096, "wal_dir": "w"},
    "--segment-bytes=4096 -b w": {"segment_bytes": 4_096, "wal_dir": "w"},
    "-b /a/b": {"wal_dir": "/a/b"},
    "-b/a/b": {"wal_dir": "/a/b"},
    "-Vb/a/b": {"verbosity": 1, "wal_dir": "/a/b"},
    "--wal-dir a": {"wal_dir": "a"},
    "--wal-dir=/a/b": {"wal_dir": "/a/b"},
    "--exit-on-log-error -b w": {"exit_on_log_error": True, "wal_dir": "w"},
    "--idle-exit 60": {"idle_exit_s": 60},
    "--idle-exit=1": {"idle_exit_s": 1},
    "-V": {"verbosity": 1},
    "-VV": {"verbosity": 2},
    "-V -V": {"verbosity": 2},
    "-VVV": {"verbosity": 3},
    "--verbose --verbose": {"verbosity": 2},
    "-VVp0": {"verbosity": 2, "port": 0},
    "-VVp 0": {"verbosity": 2, "port": 0},
    "-FVp0 -b w": {"verbosity": 1, "port": 0, "sync_ms": None, "wal_dir": "w"},
    "-VFVu bob -b w": {"verbosity": 2, "user": "bob", "sync_ms": None, "wal_dir": "w"},
    "-Vl127.0.0.2": {"verbosity": 1, "listen": ("127.0.0.2",)},
    "-l ::1 -p 1 -u x -z 2 -f 3 -s 4 -V --max-memory 5 --max-connections 6 -b w": {
        "wal_dir": "w",
        "listen": ("::1",),
        "port": 1,
        "user": "x",
        "max_job_size": 2,
        "sync_ms": 3,
        "segment_bytes": 4,
        "verbosity": 1,
        "max_memory": 5,
        "max_connections": 6,
    },
}


@pytest.mark.parametrize("line", ACCEPTED, ids=lambda line: line or "none")
def test_accepted(command: Command, line: str) -> None:
    """Long, short, bundled, glued: what the daemon is started with, and nothing is said."""
    outcome = command(*line.split())
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert outcome.config == Config(**{**DEFAULTS, **ACCEPTED[line]})


def test_defaults() -> None:
    """Those of the original, except that only this machine may connect."""
    assert asdict(Config()) == DEFAULTS


def test_a_port_may_be_a_service(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name in /etc/services."""
    ports = {("beanstalk", "tcp"): 11_300}
    monkeypatch.setattr("socket.getservbyname", lambda *name: ports[name])
    outcome = command("-p", "beanstalk")
    assert outcome.config is not None
    assert outcome.config.port == 11_300


# Options, separated by "|" -> a word of the complaint.
REFUSED = {
    "-p|x-no-such-service": "-p",
    "-p|": "-p",
    "-p|-1": "-p",
    "-p|65536": "65535",
    "-p|99999999999": "65535",
    "-p|1.5": "-p",
    "-p|0x10": "-p",
    "-p| 1": "-p",
    "-p|1_0": "-p",
    "-p|\N{ARABIC-INDIC DIGIT THREE}": "-p",
    "-p": "-p",
    "--port": "--port",
    "-l": "-l",
    "-u": "-u",
    "-z|-1": "-z",
    "-z|x": "-z",
    "-z|1k": "-z",
    "-z|": "-z",
    "-f|-1": "-f",
    "-f|x": "-f",
    "-f|0.5": "'0.5' is not a whole number of milliseconds, as 50 is",
    "-f|99999999999": "99999999999 is over 2147483647",
    "-s|0": "-s",
    "-s|1073741825": "1073741825 is over 1073741824",
    "-s|99999999999999999999": "is over 1073741824",
    "-s|-5": "-s",
    "-s|10M": "-s",
    "--max-memory|0": "--max-memory",
    "--max-memory|-1": "--max-memory",
    "--max-memory|1G": "--max-memory",
    "--max-connections|0": "--max-connections",
    "--max-connections|-1": "--max-connections",
    "-x": "-x",
    "-Vx": "-x",
    "--no-such-option": "--no-such-option",
    "--lis|x": "--lis",
    "extra": "extra",
    "-p|0|extra|more": "extra",
    "-b": "-b",
    "--wal-dir": "--wal-dir",
    "--exit-on-log-error=1": "--exit-on-log-error",
    "--idle-exit|0": "--idle-exit",
    "--idle-exit|0.5": "--idle-exit",
    "--idle-exit|1m": "--idle-exit",
    "--idle-exit|2147483648": "--idle-exit",
    "--check": "--check",
    "--salvage": "--salvage",
    "--into": "--into",
    "--salvage|/tmp": "--into",
    "--into|/tmp": "--salvage",
    "-b|/tmp|--into|/tmp": "--salvage",
    "-F|yes": "yes",
    "-p|1\n2": "-p",
}


@pytest.mark.parametrize("line", REFUSED)
def test_refused(command: Command, line: str) -> None:
    """Exit code 2 and one line that names what is wrong; nothing is started."""
    outcome = command(*line.split("|"))
    assert (outcome.code, outcome.config, outcome.out) == (2, None, "")
    (complained,) = outcome.err.splitlines()
    assert complained.startswith("stalkd: ")
    assert REFUSED[line] in complained


@pytest.mark.parametrize("port", ["9" * 5_000, b"\xff", b"\xff1"], ids=["long", "ff", "ff1"])
def test_refused_whatever_is_typed(port: str | bytes) -> None:
    """Not even a number of 5,000 digits or bytes that are no text end in a traceback."""
    assert "-p" in complaint("-p", port, code=2)


@pytest.mark.parametrize(
    ("line", "ignored"),
    [("-c", ["-c"]), ("-n", ["-n"]), ("-cn", ["-c", "-n"]), ("-nVc", ["-c", "-n"])],
)
def test_ignored_with_a_warning(command: Command, line: str, ignored: list[str]) -> None:
    """Old scripts go on working, and their owners hear that these do nothing."""
    outcome = command(line, "-p0")
    assert outcome.code == 0
    assert outcome.config is not None
    lines = outcome.err.splitlines()
    assert [each.split(" ", 1)[1] for each in lines] == [
        f"WARNING option_ignored option={option}" for option in ignored
    ]


@pytest.mark.parametrize("option", ["-f0", "-f50", "-F", "-s32768", "--exit-on-log-error"])
def test_options_of_a_log_that_is_not_kept(command: Command, option: str) -> None:
    """Who believes in -f 0 and forgets -b hears that nothing is kept."""
    outcome = command(option)
    assert outcome.code == 0
    name = option.rstrip("0123456789")
    words = f'WARNING option_ignored option={name} reason="{name} has no effect without -b"'
    (line,) = outcome.err.splitlines()
    assert line.endswith(words)


@pytest.mark.parametrize("size", [LARGEST_MAX_JOB_SIZE + 1, 4_294_967_295, 10**30])
def test_a_job_size_over_the_largest_is_capped(command: Command, size: int) -> None:
    """As by the original, with a warning that has both numbers."""
    outcome = command("-z", str(size))
    assert outcome.config is not None
    assert outcome.config.max_job_size == LARGEST_MAX_JOB_SIZE
    (line,) = outcome.err.splitlines()
    assert line.endswith(f"WARNING job_size_capped asked={size} used={LARGEST_MAX_JOB_SIZE}")


@pytest.mark.parametrize("option", ["-v", "--version", "-Vv", "-vp0"])
def test_version(command: Command, option: str) -> None:
    """One line on stdout, and nothing is started."""
    outcome = command(option)
    assert outcome.out == f"stalkd {__version__}\n"
    assert (outcome.code, outcome.config, outcome.err) == (0, None, "")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(command: Command, option: str) -> None:
    """Every option with a word about it on stdout, in lines that fit a terminal."""
    outcome = command(option)
    assert (outcome.code, outcome.config, outcome.err) == (0, None, "")
    short = "-l -p -u -z -b -f -F -s -c -n -V -v -h"
    long = "--max-memory --max-connections --exit-on-log-error --check --salvage --into --idle-exit"
    for each in [*short.split(), *long.split()]:
        assert f"{each}," in outcome.out or f"{each} " in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_as_a_process() -> None:
    """The same through `python -m stalkd`: codes, streams, no traceback."""
    done = run("-v")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"stalkd {__version__}\n", "")
    assert run("-h").stdout.startswith("Usage: stalkd [OPTIONS]\n")
    assert "no such option" in complaint("-x", code=2).lower()


@pytest.mark.parametrize("size", ["1M", "1_000", "1e6", "-5", "٣", ""])
@pytest.mark.parametrize("option", ["-z", "--max-memory", "-s"])
def test_sizes_are_plain_numbers(option: str, size: str) -> None:
    """A unit, or anything else, is refused, and the message says what is wanted."""
    assert "plain number of bytes" in complaint(option, size, code=2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_help_that_cannot_be_printed() -> None:
    """Also when nobody takes what is printed, there is one line and an exit code."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*STALKD, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
