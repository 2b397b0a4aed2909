r"""A reader who follows a page: types its commands into a shell, and compares what comes.

    with Reader(tmp_path) as reader:
        for block in blocks_of(PAGE):
            reader.follow(block)

Commands run as they are printed, in one shell and one directory, which is also the home. Only two
things differ from the reader's machine: ports are free ones instead of 11300 and 11301, and
directories such as /var/lib are inside the directory. A program that serves runs in the background,
as if in a terminal of its own. Times, process ids and the like are not compared, and a line ``...``
on the page stands for any lines.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from stalkd.protocol import commands, extended
from support.daemon import Wire, free_port
from support.examples import Block

PATIENCE_S: Final = 40.0
LOOK_AGAIN_S: Final = 0.1
SETTLE_S: Final = 10.0
"""How long a command that looks is repeated until it shows what the page shows."""

LOOKS: Final = re.compile(
    r"cat |grep |tail |ls |stalkd --check |stalk (?:ls|jobs|show|peek|ping|clients|stats)\b"
    r"|stalk workers(?: --jobs)?$"
)
"""Commands that change nothing: what they show may take a moment to come true."""

SERVES: Final = re.compile(
    r"(?:stalkd|stalk-worker|beanstalkd)\b"
    r"(?!.*(?:--check|--salvage|--burst|--once|--help| &$| -v$))"
)
"""Commands that go on until they are stopped."""

TALKS: Final = re.compile(r"(?:nc -C|telnet) ")

COMMANDS: Final = {*commands.BARE, *commands.WITH_ARGUMENTS, *extended.NAMES, b"put"}
"""What is typed into a connection begins with one of these; all else is what the server says."""

LOG_LINE: Final = re.compile(r"TIME (?:INFO|WARNING|ERROR) ")

BETWEEN: Final = re.compile(r"(?<!\n)(?=\d{4}-\d\d-\d\dT[\d:.]+Z (?:INFO|WARNING|ERROR) )")
"""Where what one program logs came into the middle of what another one writes."""

NOTICE: Final = re.compile(r"(?:\S*bash: line \d+: +\d+ |\[\d+\][-+]? +[A-Z])")
"""What a shell says of its jobs."""

VARIABLE: Final = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*", "TIME"),
    (r"\bseconds=[\d.]+", "seconds=N"),
    # The same, if the command was sent after that.
    (r"Connection reset by peer|Broken pipe", "the server has closed the connection"),
    (r"\b(pid=|process |port=)\d+", r"\1N"),
    (r"(?<![\w.])\d+(?:\.\d+)? ?ms\b", "AGE"),
    (r"(?<![\w.])(?:\d+d)?(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?(?:s|m|h)\b", "AGE"),
    (r"\b(age|died|time-left|expires-in|left)(:? +)[\d.]+", r"\1\2N"),
    (r"\b(bytes|records)=\d+", r"\1=N"),
    (r"\b\d+ (records|bytes)\b", r"N \1"),
    (r"\boffset \d+", "offset N"),
    (r"\bfrom \d+ to \d+, ", "from N to N, "),
    (r"\b\d+ intact", "N intact"),
    (
        r"^((?:total-|current-)connections|binlog-\S*bytes\S*|binlog-last-sync-ms|uptime) .*",
        r"\1 N",
    ),
    (r"\b127\.0\.0\.1:\d{5}\b", "127.0.0.1:PORT"),
    (r"\bunix:\S+", "unix:PATH"),
    (r"/\S*/(?=\w+\.py\b)", "PLACE/"),
    (r'", line \d+', '", line N'),
    (r"\b\d+M\b", "SIZE"),
    (r"^(\S+ +)\S+ +\d+( +(?:starting|working|quiet) )", r"\1HOST PID\2"),
    (r"\b\d+\.\d+ s (ago|more)\b", r"AGE \1"),
    (r"^(worker +|reloaded: |[a-z]+ed: )\S+[-:]\d+$", r"\1WORKER"),
    (r"\s+", " "),
)
"""What differs from one run to the next."""


UNSHARE: Final = ("unshare", "-rm")
"""Lets a shell mount what nobody else sees."""

FAILING: Final = "strace -f -o /dev/null -e trace=fdatasync -e inject=fdatasync:error=EIO:when=2+"
"""Lets syncs fail when a daemon has started and has begun its log."""


def can_mount() -> bool:
    """Whether a test may have a disk of its own."""
    probe = [*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(probe, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def plain(text: str) -> list[str]:
    """Return lines without what differs from one run to the next."""
    found = []
    for line in BETWEEN.sub("\n", text.replace("\r", "")).splitlines():
        for pattern, stands in VARIABLE:
            line = re.sub(pattern, stands, line)  # noqa: PLW2901 - one change after the other
        if line.strip():
            found.append(line.strip())
    return found


def agrees(shown: list[str], came: list[str]) -> bool:
    """Whether lines are those that a page shows."""
    if not shown:
        return not came
    if shown[0] == "...":
        return any(agrees(shown[1:], came[start:]) for start in range(len(came) + 1))
    return bool(came) and shown[0] == came[0] and agrees(shown[1:], came[1:])


def conversation(shown: str) -> tuple[str, str]:
    """Split what happens on a connection into what is typed, and what the server says."""
    typed, said, body = [], [], False
    for line in shown.splitlines(keepends=True):
        if body or line.split(" ")[0].strip().encode() in COMMANDS:
            typed.append(line)
            body = not body and line.startswith("put")
        else:
            said.append(line)
    return "".join(typed), "".join(said)


def steps(code: str) -> Iterator[tuple[str, str]]:
    """Return each command of a block, and what the page shows below it."""
    parts = re.split(r"^\$ ", code, flags=re.MULTILINE)
    assert not parts[0].strip(), f"it does not begin with a command: {code}"
    for part in parts[1:]:
        lines = part.splitlines(keepends=True)
        typed = lines.pop(0)
        while typed.endswith("\\\n"):
            typed += lines.pop(0)
        yield typed.rstrip("\n"), "".join(lines)


class Reader:
    """Somebody at a terminal, with the directory, the shell and the programs of a page."""

    def __init__(self, place: Path, *, disk: str = "") -> None:
        """With ``disk`` "small" or "failing", what is below /var/lib is on such a one."""
        self.place = place
        self._failing = FAILING if disk == "failing" else ""
        self.port, self.other_port = free_port(), free_port()
        self._make_programs()
        self._shell = subprocess.Popen(
            [*(UNSHARE if disk == "small" else ()), "bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=place,
            env=self._environment(),
            start_new_session=True,
        )
        assert self._shell.stdout is not None
        self._out = self._shell.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self._came = ""
        self._turn = 0
        self.type(f"set -m; mkdir -p {place}/var/lib {place}/var/log {place}/mnt/other")
        if disk == "small":
            self.type(f"mount -t tmpfs -o size=1m none {place}/var/lib")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End all that the reader has started: each job is a process group of this session."""
        assert self._shell.stdin is not None
        for pid in self._session():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._shell.wait(PATIENCE_S)
        self._selector.close()
        self._shell.stdin.close()
        self._out.close()

    def follow(self, block: Block) -> None:
        """Do what a block says: make a file, run Python, or type commands and compare."""
        if block.file:
            (self.place / block.file).write_text(block.code)
        elif block.language == "python":
            (self.place / "example.py").write_text(block.code)
            said = re.findall(r"^ *print\(.*\)  # (.*)$", block.code, re.MULTILINE)
            self.step("python example.py", "".join(f"...\n{line}\n" for line in said) + "...\n")
        elif block.language == "console":
            for typed, shown in steps(block.code):
                self.step(typed, shown)

    def step(self, typed: str, shown: str) -> None:
        """Type a command; what comes must be what the page shows."""
        command = self._here(typed)
        if TALKS.match(typed):
            said, shown = conversation(shown)
            command = f"{command} <<'END'\n{said}END"
        elif SERVES.match(typed):
            command += " &"
        expected = plain(self._here(shown))
        deadline = time.monotonic() + SETTLE_S
        came = self.type(command)
        if typed.startswith("stalkd ") and typed.endswith(" &"):
            self._wait_for_an_answer()
        while not self._is_shown(expected, came):
            assert time.monotonic() < deadline, f"$ {typed}\n{came}\nis not\n{shown}"
            if LOOKS.match(typed):
                time.sleep(LOOK_AGAIN_S)
                came = self.type(command)
            else:
                came += self._read(LOOK_AGAIN_S)

    def _wait_for_an_answer(self) -> None:
        """A reader is slower than a daemon that starts."""
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            with suppress(OSError), Wire(("127.0.0.1", self.port), SETTLE_S) as wire:
                assert wire.ask(b"list-tube-used") == b"USING default"
                return
            time.sleep(LOOK_AGAIN_S)
        raise AssertionError(f"nobody answers on port {self.port}")

    def type(self, command: str) -> str:
        """Run a command in the shell; return what has come by its end."""
        assert self._shell.stdin is not None
        self._turn += 1
        mark = f"[turn {self._turn} is over]\n"
        self._shell.stdin.write(f"{command}\nprintf '%s' '{mark}'\n".encode())
        self._shell.stdin.flush()
        deadline = time.monotonic() + PATIENCE_S
        while mark not in self._came:
            assert time.monotonic() < deadline, f"{command!r} has not ended:\n{self._came}"
            self._came += self._read(LOOK_AGAIN_S)
        came, self._came = self._came.split(mark, 1)
        return came

    def _is_shown(self, expected: list[str], came: str) -> bool:
        """Lines of logs may come that the page leaves out; all others must be there."""
        lines = [line for line in plain(came) if not NOTICE.match(line)]
        logged = [line for line in lines if LOG_LINE.match(line)]
        printed = [line for line in lines if not LOG_LINE.match(line)]
        told = [line for line in expected if LOG_LINE.match(line)]
        others = [line for line in expected if not LOG_LINE.match(line)]
        return agrees(others, printed) and all(line in logged for line in told)

    def _here(self, text: str) -> str:
        """Put the reader's places and port for those of the page."""
        text = text.replace("11300", str(self.port)).replace("11301", str(self.other_port))
        return re.sub(r"(?<![\w.~])/(?:var|mnt|tmp|run)/", f"{self.place}\\g<0>", text)

    def _session(self) -> list[int]:
        """All processes of the shell's session, and so the shell itself."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # It has ended meanwhile.
                if int(path.read_text().rpartition(")")[2].split()[3]) == self._shell.pid:
                    found.append(int(path.parent.name))
        return found

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self.place / 'programs'}:{os.environ['PATH']}",
            "HOME": str(self.place),
            "STALKD_URL": f"stalkd://127.0.0.1:{self.port}",
            "COLUMNS": "110",
        }

    def _make_programs(self) -> None:
        """Those of the installed package, stalkd with the reader's port."""
        directory = self.place / "programs"
        directory.mkdir()
        scripts = Path(sysconfig.get_path("scripts"))
        lines = {name: f'{scripts / name} "$@"' for name in ("stalk", "stalk-worker")}
        lines["stalkd"] = f'{self._failing} {scripts / "stalkd"} -p {self.port} "$@"'
        lines["python"] = lines["python3"] = f'{sys.executable} "$@"'
        for name, line in lines.items():
            (directory / name).write_text(f"#!/bin/sh\nexec {line}\n")
            (directory / name).chmod(0o755)

    def _read(self, seconds: float) -> str:
        if not self._selector.select(seconds):
            return ""
        return os.read(self._out.fileno(), 65536).decode("utf-8", "replace")
