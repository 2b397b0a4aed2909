"""Every command of the protocol, said to the daemon that is one file."""

from __future__ import annotations

from pathlib import Path

from stalkd.protocol import commands, extended
from support.command import FREE, running
from support.daemon import Daemon, Wire

CONVERSATION: tuple[tuple[bytes, bytes], ...] = (
    (b"use mail", b"USING mail"),
    (b"watch mail", b"WATCHING 2"),
    (b"ignore default", b"WATCHING 1"),
    (b"put 5 0 60 5\r\nfirst", b"INSERTED 1"),
    (b"put-with 5 0 60 6 tube=mail key=k ttl=3600\r\nsecond", b"INSERTED 2"),
    (b"peek 1", b"FOUND 1 5"),
    (b"peek-ready", b"FOUND 1 5"),
    (b"peek-delayed", b"NOT_FOUND"),
    (b"peek-buried", b"NOT_FOUND"),
    (b"reserve", b"RESERVED 1 5"),
    (b"touch 1", b"TOUCHED"),
    (b"touch-for 1 30", b"TOUCHED"),
    (b"release 1 5 0", b"RELEASED"),
    (b"reserve-with-timeout 0", b"RESERVED 1 5"),
    (b"bury 1 5", b"BURIED"),
    (b"kick 10", b"KICKED 1"),
    (b"reserve-job 1", b"RESERVED 1 5"),
    (b"bury 1 5", b"BURIED"),
    (b"kick-job 1", b"KICKED"),
    (b"reserve-batch 1 0", b"RESERVED_BATCH 1"),
    (b"release-tube mail", b"RELEASED 1"),
    (b"wait-job 2 0", b"TIMED_OUT"),
    (b"explain-job 2", b"OK"),
    (b"list-jobs mail all 0 10", b"OK"),
    (b"set-policy mail attempts=9 dead=mail.dead", b"POLICY_SET"),
    (b"get-policy mail", b"OK"),
    (b"move-jobs mail ready other 10", b"MOVED 2"),
    (b"purge-tube other all", b"PURGED 2"),
    (b"put 0 0 60 1\r\nx", b"INSERTED 3"),
    (b"delete 3", b"DELETED"),
    (b"pause-tube mail 1", b"PAUSED"),
    (b"stats", b"OK"),
    (b"stats-tube mail", b"OK"),
    (b"stats-tubes", b"OK"),
    (b"put 0 9 60 1\r\nx", b"INSERTED 4"),
    (b"stats-job 4", b"OK"),
    (b"list-tubes", b"OK"),
    (b"list-tube-used", b"USING mail"),
    (b"list-tubes-watched", b"OK"),
    (b"list-clients", b"OK"),
    (b"drain on", b"DRAINING"),
    (b"drain off", b"ACCEPTING"),
    (b"nonsense", b"UNKNOWN_COMMAND"),
)
"""What is said to a new daemon, and how the reply begins."""

WITH_BODY = {b"OK", b"FOUND", b"RESERVED"}


def ask(wire: Wire, line: bytes) -> bytes:
    """Say something; return the first line of the reply, whose body is read, too."""
    reply = wire.ask(line)
    words = reply.split()
    if words[0] in WITH_BODY:
        wire.read_exact(int(words[-1]) + 2)
    elif words[0] == b"RESERVED_BATCH":
        for _ in range(int(words[1])):
            wire.read_exact(int(wire.read_line().split()[2]) + 2)
    return reply


def test_every_command_is_answered(daemon: Daemon) -> None:
    with daemon.connect() as wire:
        for line, beginning in CONVERSATION:
            assert ask(wire, line)[: len(beginning)] == beginning, line


def test_no_command_is_left_out() -> None:
    every = {*commands.BARE, *commands.WITH_ARGUMENTS, *extended.NAMES, b"put"}
    assert every - {line.split()[0] for line, _ in CONVERSATION} == {b"quit"}


def test_a_restart_finds_all_jobs(stalkd: str, tmp_path: Path) -> None:
    command = [stalkd, "-b", str(tmp_path / "log")]
    with running(*FREE, command=command) as first, first.connect() as wire:
        assert wire.ask(b"put 7 0 60 5\r\nready") == b"INSERTED 1"
        assert wire.ask(b"put-with 7 3600 60 7 key=k\r\ndelayed") == b"INSERTED 2"
        assert wire.ask(b"put 0 0 60 6\r\nburied") == b"INSERTED 3"
        assert ask(wire, b"reserve") == b"RESERVED 3 6"
        assert wire.ask(b"bury 3 0") == b"BURIED"
        first.kill()
    with running(*FREE, command=command) as second, second.connect() as wire:
        for state, job in ((b"ready", b"1 5"), (b"delayed", b"2 7"), (b"buried", b"3 6")):
            assert ask(wire, b"peek-" + state) == b"FOUND " + job
        assert wire.ask(b"put-with 7 0 60 1 key=k\r\nx") == b"EXISTS 2"
        assert wire.ask(b"put 7 0 60 1\r\nx") == b"INSERTED 4"
        assert second.terminate() == 0
