"""stalkd-wal(5) is complete: whoever knows only the page can read what a daemon wrote.

The reader here takes nothing from the package, and the fields of header, frame and records from
the tables of the page.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from support.command import logging_to, numbers, put, run, segments, take
from support.daemon import Wire

PAGE = (Path(__file__).resolve().parents[2] / "man" / "stalkd-wal.5").read_text()

FORMATS = {"8 bytes": "8s", "u8": "B", "u32": "I", "u64": "Q", "i64": "q"}

KINDS = ("CHECKPOINT", "JOB", "CHANGE", "RESERVE", "DELETE", "PAUSE")

STATES = ("ready", "delayed", "buried")

HEADER_SIZE = 48

Fields = dict[str, Any]


class Table:
    """The fields of one thing, from its table in the page, in front of those of varying length."""

    def __init__(self, title: str) -> None:
        text = re.split(r"\n\.S[hs] ", PAGE.split(f"\n.Ss {title}\n")[1])[0]
        rows = re.findall(r"^\.It Li (.+?) Ta Li (\S+) Ta ?(.*)$", text, re.MULTILINE)
        fixed = [(FORMATS[kind], name) for kind, name, _ in rows if kind != "bytes"]
        self.names = [name for _, name in fixed]
        self.struct = struct.Struct("<" + "".join(kind for kind, _ in fixed))
        self.kind = next((int(meaning) for _, name, meaning in rows if name == "kind"), 0)

    def read(self, data: bytes, offset: int = 0) -> Fields:
        return dict(zip(self.names, self.struct.unpack_from(data, offset), strict=True))


HEADER, FRAME = Table("Header"), Table("Frame")
RECORDS = {table.kind: (name, table) for name, table in zip(KINDS, map(Table, KINDS), strict=True)}


def read_record(data: bytes) -> tuple[str, Fields]:
    """The kind of a record and all its fields."""
    name, table = RECORDS[data[0]]
    fields = table.read(data)
    rest = data[table.struct.size :]
    length = fields.pop("name-length", 0)
    if length:
        fields["tube"] = rest[:length].decode()
    if name == "JOB":
        fields["body"] = rest[length:]
    else:
        assert len(rest) == length
    return name, fields


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
        elif name == "DELETE":
            self.jobs.pop(fields["id"], None)
        elif name == "JOB":
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
