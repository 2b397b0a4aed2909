"""Lines of stdin as jobs, without any process: splitting, taking, putting off, writing, the bar."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stalkd_client.jobs import Job
from stalkd_client.worker.live import Moment
from stalkd_client.worker.once import lines as lines_module
from stalkd_client.worker.once.bar import Bar, duration
from stalkd_client.worker.once.lines import AHEAD_BYTES, CHUNK_BYTES, LINE_BYTES, Input
from stalkd_client.worker.once.linesupply import LineSupply
from stalkd_client.worker.once.splitting import Line, Splitter
from stalkd_client.worker.once.written import Written
from stalkd_client.worker.slots.supply import End, Put

from support.workers import wait_until

Pipe = tuple[FileIO, FileIO]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Its two ends; closing one twice does no harm."""
    ours, theirs = os.pipe()
    with FileIO(ours, "r") as out, FileIO(theirs, "w") as into:
        yield out, into


def all_of(text: bytes, pipe: Pipe, *, skips_blank: bool = False) -> Input:
    """Lines of a text, which have been read."""
    made = Input(pipe[0].fileno())
    pipe[1].write(text)
    pipe[1].close()
    made.begin(skips_blank=skips_blank)
    wait_until(lambda: made._is_at_end)
    return made


def texts(jobs: list[Job]) -> list[tuple[int, bytes, int]]:
    return [(job.id, job.body, job.attempt) for job in jobs]


def deleted(jobs: list[Job]) -> list[End]:
    return [End("delete", job) for job in jobs]


@given(st.lists(st.binary(max_size=6).map(lambda each: each.replace(b"x", b"\n"))))
def test_chunks_are_split_as_the_whole_is(chunks: list[bytes]) -> None:
    splitter = Splitter(4)
    found = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.end()
    whole = b"".join(chunks)
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert [line.number for line in found] == list(range(1, len(expected) + 1))
    assert sum(line.size for line in found) == len(whole)
    for line, body in zip(found, expected, strict=True):
        assert line.is_too_long == (len(body) > 4)
        assert line.body == body  # Less than what is kept of one that is too long.


def test_of_a_line_that_is_too_long_little_is_kept() -> None:
    splitter = Splitter(100_000)
    for _ in range(1000):
        assert splitter.feed(b"x" * 1000) == []
        assert len(splitter._begun) <= 101_000
    (line, after) = splitter.feed(b"\nok\n")
    assert (len(line.body), line.size, line.is_too_long) == (16_384, 1_000_001, True)
    assert after == Line(2, b"ok", 3)


def test_lines_come_in_order_and_end(pipe: Pipe) -> None:
    made = all_of(b"a\nb\n\nlast", pipe)
    assert texts(made.take(2)) == [(1, b"a", 1), (2, b"b", 1)]
    rest = made.take(9)
    assert texts(rest) == [(3, b"", 1), (4, b"last", 1)]
    made.end(deleted(rest))
    assert (made.is_done, made.first_left()) == (False, 1)
    made.end([End("delete", Job(1, b"")), End("bury", Job(2, b""))])
    assert (made.is_done, made.first_left(), made.done_bytes) == (True, None, 9)


def test_blank_lines_are_skipped_and_counted(pipe: Pipe) -> None:
    made = all_of(b"\n1\n \r\n2\n\n", pipe, skips_blank=True)
    jobs = made.take(9)
    assert [job.id for job in jobs] == [2, 4]
    made.end(deleted(jobs))
    assert (made.is_done, made.done_bytes) == (True, 9)


def test_what_is_put_off_comes_when_it_is_due(pipe: Pipe) -> None:
    now = [100.0]
    made = Input(pipe[0].fileno(), lambda: now[0])
    pipe[1].write(b"a\nb\nc\n")
    pipe[1].close()
    made.begin(skips_blank=False)
    wait_until(lambda: made._is_at_end)
    first, second = made.take(2)
    made.end([End("release", second, 5.0), End("release", first, 0.0)])
    assert texts(made.take(9)) == [(1, b"a", 2), (3, b"c", 1)]
    now[0] = 104.9
    assert made.take(9) == []
    now[0] = 105.0
    assert texts(made.take(9)) == [(2, b"b", 2)]
    assert made.first_left() == 1


def test_a_wait_ends_when_a_line_is_due(pipe: Pipe) -> None:
    made = all_of(b"a\n", pipe)
    (job,) = made.take(1)
    made.end([End("release", job, 0.05)])
    assert texts(made.wait(1, None, lambda: False)) == [(1, b"a", 2)]
    assert made.wait(1, 0.01, lambda: False) == []


def test_a_wait_can_be_interrupted(pipe: Pipe) -> None:
    supply = LineSupply(Input(pipe[0].fileno()), Written(pipe[1].fileno(), None))
    thread = threading.Timer(0.02, supply.interrupt)
    thread.start()
    assert supply.wait(1, None) == []
    thread.join()


def test_no_more_is_read_than_is_wanted(pipe: Pipe) -> None:
    """Whoever writes is held up; and goes on as soon as lines are taken."""
    made, line, written = Input(pipe[0].fileno()), b"x" * 99 + b"\n", [0]

    def write() -> None:
        for _ in range(20_000):
            written[0] += pipe[1].write(line)
        pipe[1].close()

    writer = threading.Thread(target=write)
    writer.start()
    made.begin(skips_blank=False)
    most = AHEAD_BYTES + CHUNK_BYTES
    wait_until(lambda: made._fresh_bytes >= AHEAD_BYTES)
    count = 0
    while not made.is_done:
        weight = 100 - 1 + LINE_BYTES
        assert made._fresh_bytes <= AHEAD_BYTES + (CHUNK_BYTES // 100 + 1) * weight
        assert written[0] <= count * 100 + most + 65_536 + 100
        jobs = made.wait(10, 1, lambda: False)
        count += len(jobs)
        made.end(deleted(jobs))
    writer.join()
    assert count == 20_000


@pytest.mark.parametrize("limit", ["MOST_PUT_OFF", "OPEN_BYTES"])
def test_no_new_line_begins_while_too_many_are_open(
    pipe: Pipe, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, limit, 2 if limit == "MOST_PUT_OFF" else 2 * LINE_BYTES + 1)
    made = all_of(b"a\nb\nc\nd\n", pipe)
    jobs = made.take(2)
    made.end([End("release", job, 1000.0) for job in jobs])
    assert made.take(9) == []
    assert made.first_left() == 1


def test_the_end_that_nobody_has_seen_may_hide_a_line(pipe: Pipe) -> None:
    made = Input(pipe[0].fileno())
    assert made.first_left() == 1
    pipe[1].write(b"a\n")
    made.begin(skips_blank=False)
    made.end(deleted(made.wait(1, None, lambda: False)))
    assert (made.is_done, made.first_left()) == (False, 2)
    pipe[1].close()
    wait_until(lambda: made.is_done)


def test_what_cannot_be_read_is_known(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    made = Input(fd)
    made.begin(skips_blank=False)
    assert isinstance(wait_until(lambda: made.failure), IsADirectoryError)
    os.close(fd)


def test_outputs_and_records_are_written_and_nothing_else(tmp_path: Path) -> None:
    out, errors = tmp_path / "out", tmp_path / "errors"
    with out.open("wb") as first, errors.open("wb") as second:
        written = Written(first.fileno(), second.fileno())
        written.store(
            [
                Put("stdout", b"a\n"),
                Put("error.1", b"{}", kind="record"),
                Put("stdout", b""),
                Put("stdout", b"a reply", kind="reply"),
            ]
        )
        Written(first.fileno(), None, adds_newline=False).store([Put("o", b"b\n"), Put("o", b"c")])
    assert out.read_bytes() == b"a\n\n\nb\nc\n"
    assert errors.read_bytes() == b"{}\n"


def test_a_pipe_that_does_not_block_gets_all(pipe: Pipe) -> None:
    os.set_blocking(pipe[1].fileno(), False)
    found = bytearray()

    def read() -> None:
        while data := pipe[0].read(65_536):
            found.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    Written(pipe[1].fileno(), None).store([Put("o", b"x" * 1_000_000)])
    pipe[1].close()
    reader.join()
    assert len(found) == 1_000_001


def test_nothing_ends_when_nobody_reads(pipe: Pipe, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("a\nb\n")
    with text.open("rb") as file:
        made = Input(file.fileno())
        made.begin(skips_blank=False)
        supply = LineSupply(made, Written(pipe[1].fileno(), None))
        pipe[0].close()
        jobs = supply.wait(1, 5)
        assert supply.store([Put("stdout", b"x")]) == [None]
        assert supply.settle(deleted(jobs), 1) == ([None], [])
        assert supply.wait(1, 0.01) == []
    assert made.first_left() == 1


def moment(done: int) -> Moment:
    return Moment({"done": done}, {}, {}, 0, 1)


def test_the_bar_tells_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"12345\n" * 4)
    with path.open("rb") as file:
        made = Input(file.fileno())
    bar = Bar(made)
    assert bar.line(0.0, moment(0)).startswith("[--------------------]   0%, - left, 0 done")
    made.done_bytes = 6
    assert bar.line(10.0, moment(1)).startswith("[#####---------------]  25%, 0:30 left, 1 d")
    made.done_bytes = 99
    assert "] 100%, 0:00 left" in bar.line(20.0, moment(1))
    assert [duration(each) for each in (0.4, 59.6, 3661)] == ["0:00", "1:00", "1:01:01"]


def test_a_pipe_has_no_bar(pipe: Pipe) -> None:
    assert Bar(Input(pipe[0].fileno())).line(0.0, moment(0)).startswith("0 done")
