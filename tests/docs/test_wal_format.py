"""stalkd-wal(5) is complete: whoever knows only the page can read what a daemon wrote.

The reader here takes nothing from the package, and the fields of header, frame and records from
the tables of the page.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from support.command import logging_to, numbers, put, run, segments, take
from support.daemon import Wire

PAGE = (Path(__file__).resolve().parents[2] / "man" / "stalkd-wal.5").read_text()

FORMATS = {"8 bytes": "8s", "u8": "B", "u32": "I", "u64": "Q", "i64": "q"}

KINDS = (
    *("CHECKPOINT", "JOB", "CHANGE", "RESERVE", "DELETE", "PAUSE"),
    *("TERMED", "MOVED", "POLICY"),
)

STATES = ("ready", "delayed", "buried")

REASONS = ("", "released", "timed out", "disconnected", "restarted", "taken back")


HEADER_SIZE = 48

Fields = dict[str, Any]


class Table:
    """The fields of one thing in their order, from its table in the page.

    ``struct`` is those in front of the first of varying length.
    """

    def __init__(self, title: str) -> None:
        text = re.split(r"\n\.S[hs] ", PAGE.split(f"\n.Ss {title}\n")[1])[0]
        self.rows: list[tuple[str, str, str]] = re.findall(
            r"^\.It Li (.+?) Ta Li (\S+) Ta ?(.*)$", text, re.MULTILINE
        )
        fixed = list(takewhile(lambda row: row[0] != "bytes", self.rows))
        self.struct = struct.Struct("<" + "".join(FORMATS[kind] for kind, _, _ in fixed))
        self.kind = next((int(meaning) for _, name, meaning in fixed if name == "kind"), 0)

    def read(self, data: bytes, offset: int = 0) -> Fields:
        names = [name for _, name, _ in self.rows]
        return dict(zip(names, self.struct.unpack_from(data, offset), strict=False))

    def read_all(self, data: bytes) -> Fields:
        """Read a whole record: also the fields of varying length, and those behind them."""
        fields: Fields = {}
        offset = 0
        for kind, name, meaning in self.rows:
            if kind == "bytes":
                default = len(data) - offset if "the rest of the record" in meaning else 0
                size = fields.pop("name-length" if name == "tube" else f"{name}-length", default)
                value = data[offset : offset + size]
                fields[name] = value if name == "body" else value.decode()
            else:
                (fields[name],) = struct.unpack_from("<" + FORMATS[kind], data, offset)
                size = struct.calcsize("<" + FORMATS[kind])
            offset += size
        assert offset == len(data)
        return fields


HEADER, FRAME = Table("Header"), Table("Frame")
RECORDS = {table.kind: (name, table) for name, table in zip(KINDS, map(Table, KINDS), strict=True)}


def read_record(data: bytes) -> tuple[str, Fields]:
    """The kind of a record and all its fields."""
    name, table = RECORDS[data[0]]
    return name, table.read_all(data)


def read_header(data: bytes) -> Fields | None:
    """A segment's header, None if it is not readable."""
    if len(data) < HEADER_SIZE:
        return None
    fields = HEADER.read(data)
    good = (fields["magic"], fields["version"], fields["crc"])
    return fields if good == (b"stalkwal", 1, crc32(data[: HEADER_SIZE - 4])) else None


def tag_of(header: Fields) -> int:
    return crc32(struct.pack("<QQ", header["log-id"], header["number"])) or 1


def frame_at(data: bytes, offset: int, limit: int, tag: int) -> bytes | None:
    """The record of the frame at a place, None if there is no intact one."""
    begin = offset + FRAME.struct.size
    if begin > limit:
        return None
    frame = FRAME.read(data, offset)
    record = data[begin : begin + frame["length"]]
    if frame["tag"] != tag or not record or begin + frame["length"] > limit:
        return None
    return record if crc32(record, (tag + offset) % 2**32) == frame["crc"] else None


def links(directory: Path) -> list[tuple[bytes, Fields, int | None]]:
    """The segments of the log, oldest first: content, header, and how many bytes count."""
    found = {int(path.name[4:]): path.read_bytes() for path in segments(directory)}
    headers = {number: read_header(data) for number, data in found.items()}
    number, limit = max(each for each, header in headers.items() if header), None
    way: list[tuple[bytes, Fields, int | None]] = []
    while header := headers.get(number):
        assert header["number"] == number
        way.insert(0, (found[number], header, limit))
        number, limit = header["previous-segment"], header["previous-offset"]
    return way


@dataclass
class Log:
    """What a log says at its end. ``torn`` is where it ends too early, if it does."""

    jobs: dict[int, Fields] = field(default_factory=dict)
    pauses: dict[str, Fields] = field(default_factory=dict)
    policies: dict[str, Fields] = field(default_factory=dict)
    first: int = 0
    synced: tuple[int, int] = (0, 0)
    last_id: int = 0
    torn: tuple[int, int] | None = None

    @property
    def damaged(self) -> bool:
        return self.torn is not None and self.synced > self.torn

    def apply(self, name: str, fields: Fields) -> None:
        """Take in a record."""
        if name == "CHECKPOINT":
            self.first = max(self.first, fields["first"])
            self.synced = max(self.synced, (fields["synced-segment"], fields["synced-offset"]))
            self.last_id = max(self.last_id, fields["last-id"])
        elif name == "PAUSE":
            self.pauses[fields["tube"]] = fields
        elif name == "POLICY":
            self.policies[fields["tube"]] = fields
        elif name == "DELETE":
            self.jobs.pop(fields["id"], None)
        elif name in {"JOB", "TERMED"}:
            self.jobs[fields["id"]] = fields
            self.last_id = max(self.last_id, fields["id"])
        elif fields["id"] in self.jobs:
            self.jobs[fields["id"]].update({"state": 0, **fields})


def records(data: bytes, header: Fields, limit: int) -> Iterator[tuple[int, bytes]]:
    """The records of a segment while they are intact, each with the end of its frame."""
    offset = HEADER_SIZE
    while (record := frame_at(data, offset, limit, tag_of(header))) is not None:
        offset += FRAME.struct.size + len(record)
        yield offset, record


def checkpoints(data: bytes, header: Fields, start: int) -> Iterator[tuple[str, Fields]]:
    """The intact CHECKPOINTs behind a place, found by a search for the tag."""
    tag = tag_of(header)
    while (start := data.find(struct.pack("<I", tag), start)) >= 0:
        record = frame_at(data, start, len(data), tag)
        if record is not None and RECORDS[record[0]][0] == "CHECKPOINT":
            yield read_record(record)
        start += 1


def read_log(directory: Path) -> Log:
    """Read a whole log."""
    log = Log()
    way = links(directory)
    for index, (data, header, limit) in enumerate(way):
        end = HEADER_SIZE
        for behind, record in records(data, header, len(data) if limit is None else limit):
            log.apply(*read_record(record))
            end = behind
        if end != limit and (limit is not None or data[end:].strip(b"\0")):
            log.torn = (header["number"], end)
            first = log.first
            for content, behind_header, _ in way[index:]:
                for found in checkpoints(content, behind_header, HEADER_SIZE):
                    log.apply(*found)
            log.first = first
            break
    _, oldest, _ = way[0]
    assert oldest["previous-segment"] == 0 or oldest["number"] <= log.first
    return log


# -- what the daemon says of the same jobs --------------------------------------------------------


def assert_same(log: Log, jobs: dict[int, Fields]) -> None:
    """The log and the daemon agree, except that no job is reserved in a log."""
    assert sorted(log.jobs) == sorted(jobs)
    for number, said in jobs.items():
        read = log.jobs[number]
        for key in "tube pri delay ttr reserves timeouts releases buries kicks body".split():
            assert str(read[key]) == str(said[key]), (number, key)
        assert STATES[read["state"]] == said["state"].replace("reserved", "ready")
        # The daemon counts whole seconds, and asking it took some time.
        ends = read["order"] - read["created"] if said["state"] == "delayed" else 0
        assert abs(ends / 1e9 - (int(said["age"]) + int(said["time-left"]))) < 10 or not ends


def jobs_of(wire: Wire, ids: set[int]) -> dict[int, Fields]:
    return {
        number: {
            **numbers(wire, b"stats-job %d" % number),
            "tube": numbers(wire, b"stats-job %d" % number)["tube"].strip('"'),
            "body": take(wire, b"peek %d" % number)[1],
        }
        for number in ids
    }


ENDINGS = (
    b"release %d 3 0",
    b"delete %d",
    b"bury %d 5",
    b"delete %d",
    b"release %d 4 700",
    b"delete %d",
    b"touch %d",
)


def work(wire: Wire, ids: set[int], rounds: int) -> None:
    """Bring jobs into all states, again and again; some go."""
    for turn in range(rounds):
        wire.ask(b"use tube-%d" % (turn % 3))
        ids.add(put(wire, b"\r\n" * (turn * 37 % 900), b"%d %d 99" % (turn, turn % 2 * 500)))
        number = sorted(ids)[turn * 7 % len(ids)]
        ending = ENDINGS[turn % len(ENDINGS)]
        take(wire, b"reserve-job %d" % number)
        assert b"_" not in wire.ask(ending % number)
        if ending.startswith(b"delete"):
            ids.remove(number)
        elif ending.startswith(b"touch"):
            assert wire.ask(b"release %d 6 0" % number) == b"RELEASED"
        if turn % 11 == 0:
            wire.ask(b"kick 1")


@pytest.mark.parametrize("syncs", ["-f0", "-F"])
def test_a_log_of_many_segments(tmp_path: Path, syncs: str) -> None:
    """Of several runs, compacted, the last of them killed: job for job what the daemon says."""
    ids: set[int] = set()
    told: dict[str, str] = {}
    path = tmp_path / "wal"
    for turn in range(1, 4):
        with logging_to(path, syncs, "-s", "1") as (daemon, wire):
            work(wire, ids, 300)
            held = max(ids)
            take(wire, b"reserve-job %d" % held)
            assert wire.ask(b"pause-tube tube-0 %d" % (1_000 + turn)) == b"PAUSED"
            jobs, told = jobs_of(wire, ids), numbers(wire, b"stats")
            daemon.kill()
        log = read_log(path)
        assert_same(log, jobs)
        assert log.pauses["tube-0"]["seconds"] == 1_000 + turn
        assert log.last_id == 300 * turn
        assert log.torn is None
    assert int(told["binlog-records-migrated"]) > 0
    assert int(told["binlog-oldest-index"]) > 1


def test_a_log_that_goes_on_from_a_torn_place(tmp_path: Path) -> None:
    """What is behind the place is no part of it, there and in the segments that were torn off."""
    path = tmp_path / "wal"
    with logging_to(path, "-F", "-s", "1") as (daemon, wire):
        for body in range(100):
            put(wire, b"%02d" % body * 500)
        daemon.kill()
    second = segments(path)[1]
    data = bytearray(second.read_bytes())
    data[data.index(b"45" * 500)] ^= 1
    second.write_bytes(data)
    torn = read_log(path)
    assert torn.torn is not None
    assert torn.torn[0] == 2
    assert not torn.damaged
    assert sorted(torn.jobs) == [*range(1, 46)]
    with logging_to(path) as (daemon, wire):
        ids = {*torn.jobs, put(wire)}
        jobs = jobs_of(wire, ids)
        assert int(numbers(wire, b"stats")["current-jobs-ready"]) == len(ids)
        daemon.kill()
    log = read_log(path)
    assert log.torn is None
    assert_same(log, jobs)


@pytest.mark.parametrize("number", [0, 1, -1], ids=["first", "second", "last"])
def test_a_damaged_log(tmp_path: Path, number: int) -> None:
    """One wrong byte before what was synced: the CHECKPOINTs tell, as `--check` does."""
    path = tmp_path / "wal"
    with logging_to(path, "-s", "1") as (daemon, wire):
        for body in range(100):
            put(wire, b"%02d" % body * 500)
        assert daemon.terminate() == 0
    assert not read_log(path).damaged
    segment = segments(path)[number]
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    assert read_log(path).damaged
    assert run("--check", str(path)).returncode == 1


def test_the_example(tmp_path: Path) -> None:
    """The bytes in the page are a segment."""
    rows = re.findall(r"^[0-9a-f]{8}  (.*)$", PAGE, re.MULTILINE)
    (tmp_path / "wal.0000000001").write_bytes(bytes.fromhex("".join(rows)))
    log = read_log(tmp_path)
    assert log.torn is None
    (job,) = log.jobs.values()
    told = {key: job[key] for key in ("id", "pri", "ttr", "tube", "body", "state", "reserves")}
    assert told == {
        "id": 1,
        "pri": 100,
        "ttr": 60,
        "tube": "mail",
        "body": b"hi",
        "state": 0,
        "reserves": 1,
    }


# -- what the extended commands leave -------------------------------------------------------------


def extended_work(wire: Wire) -> None:
    """Jobs 1 to 8: alive, dead of different reasons, moved, kicked, and without terms again."""
    assert wire.ask(b"set-policy plain attempts=1 dead=plain.dead ttl=1000.5") == b"POLICY_SET"
    assert wire.ask(b"set-policy every attempts=2 dead=x ttl=0.001 max-jobs=3 rate=0.5 "
                    b"concurrency=4 ageing=1.25") == b"POLICY_SET"  # fmt: skip
    assert wire.ask(b"set-policy none rate=5") == b"POLICY_SET"
    assert wire.ask(b"set-policy none rate=0") == b"POLICY_SET"
    for options in (b"key=a ttl=900.25", b"attempts=1 dead=grave", b"attempts=1", b"key=b"):
        assert wire.ask(b"put-with 7 0 60.5 1 tube=work %b\r\nx" % options).startswith(b"INSERTED")
    assert wire.ask(b"use plain") == b"USING plain"
    put(wire)
    put(wire)
    assert wire.ask(b"put-with 7 500.125 60 1 tube=work\r\nx").startswith(b"INSERTED")
    put(wire)
    for number in (2, 3, 5, 6):
        take(wire, b"reserve-job %d" % number)
        if number != 3:
            assert wire.ask(b"release %d 9 0" % number) == b"RELEASED"
    assert wire.ask(b"release-tube work") == b"RELEASED 1"
    assert wire.ask(b"move-jobs plain.dead ready revived 1") == b"MOVED 1"
    assert wire.ask(b"kick-job 7") == b"KICKED"
    assert wire.ask(b"move-jobs work ready moved 1") == b"MOVED 1"


def explained(wire: Wire, ids: set[int]) -> dict[int, Fields]:
    """What `explain-job` says of each."""
    return {number: mapping(wire, b"explain-job %d" % number) for number in ids}


def mapping(wire: Wire, line: bytes) -> dict[str, str]:
    """The keys of an extended command's document and their values, without the quotes."""
    word, size = wire.ask(line).split()
    assert word == b"OK", word
    text = wire.read_exact(int(size) + 2).decode()
    return dict(re.findall(r'^([a-z-]+): "?(.*?)"?$', text, re.MULTILINE))


def assert_same_terms(read: Fields, said: Fields, now_ns: int) -> None:
    """A job in the log has the terms that the daemon tells."""
    assert read["tube"] == said["tube"]
    assert read.get("lease", read["ttr"] * 10**9) == float(said["ttr"]) * 1e9
    assert read.get("key", "") == said.get("key", "")
    assert read.get("dead", "") == said.get("dead", "")
    assert str(read.get("attempts", 0)) == said.get("attempts", "0")
    assert read["reserves"] - read.get("base", 0) == int(said["attempts-used"])
    assert REASONS[read.get("reason", 0)] == said.get("died-because", "")
    assert read.get("origin", "") == said.get("died-in", "")
    for key, told, sign in (("expires", "expires-in", 1), ("died", "died", -1)):
        assert bool(read.get(key)) == (told in said)
        if told in said:
            assert abs(read[key] - now_ns - sign * float(said[told]) * 1e9) < 10 * 10**9


def test_terms_and_policies(tmp_path: Path) -> None:
    """Keys, expiry, attempts, deaths, moves and policies are in the log as the page says."""
    path = tmp_path / "wal"
    with logging_to(path) as (daemon, wire):
        extended_work(wire)
        told = explained(wire, set(range(1, 9)))
        policy = mapping(wire, b"get-policy every")
        now_ns = time.time_ns()
        daemon.kill()
    log = read_log(path)
    assert log.torn is None
    assert {number for number, job in log.jobs.items() if job.get("reason")} == {2, 3, 6}
    for number, said in told.items():
        assert_same_terms(log.jobs[number], said, now_ns)
        assert log.jobs[number]["body"] == b"x"
    kept = log.policies["every"]
    thousandths = {"ttl": 10**9, "rate": 10**3, "ageing": 10**3}
    for key, value in policy.items():
        if key == "dead":
            assert kept[key] == value
        else:
            assert kept[key] / thousandths.get(key, 1) == float(value)
    gone = dict(log.policies["none"])
    assert gone.pop("tube") == "none"
    assert not any(value for key, value in gone.items() if key != "kind")
