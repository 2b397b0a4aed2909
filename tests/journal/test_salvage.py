"""Salvage: all that is intact is copied, all that is not is listed, and the copy is a sound log."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import pytest

from stalkd.broker.broker import Broker
from stalkd.broker.check import check
from stalkd.broker.job import READY
from stalkd.broker.limits import NS_PER_S
from stalkd.journal.errors import JournalError
from stalkd.journal.frames import HEADER_SIZE, find_frames, frame, tag_of
from stalkd.journal.limits import LEAST_SEGMENT
from stalkd.journal.options import LogOptions
from stalkd.journal.records import Change, Delete, JobRecord, Pause, Record, Reserve, unpack
from stalkd.journal.salvage import Salvage
from stalkd.journal.segment import segment_name
from support.directories import Image
from support.journal import EPOCH, LogCore
from support.stories import (
    EVENTS,
    READ_AT,
    RESTART,
    ROTATE,
    TORN,
    Frame,
    Story,
    parse,
    start,
    stories,
    tell,
)
from support.view import JobView, TermsView, View, view

NOW = 5


class Copy(NamedTuple):
    """What came of a salvage: the state that the new log has, and what was listed."""

    state: View
    lost: list[str]
    last_id: int


def salvage(image: Image) -> Copy:
    """Copy a log, and start on the copy."""
    before = image.copy().files
    broker, wall, target = Broker(), READ_AT - NOW, Image()
    rescue = Salvage(image, broker, NOW, wall)
    rescue.read()
    check(broker)
    read = view(broker, wall, READ_AT)
    rescue.write(target, LogOptions(LEAST_SEGMENT, 0))
    outcome = start(target)
    assert outcome.refused is None
    assert outcome.recovered.notes == []
    assert outcome.state == read
    assert image.files == before, "the damaged log is not touched"
    core = LogCore(target, wall=READ_AT)
    core.check()
    return Copy(read, rescue.lost, core.broker.last_id)


# -- what must be copied --------------------------------------------------------------------------


def counting(image: Image) -> Iterator[tuple[int, Frame]]:
    """Give (segment's number, frame) of what is part of a sound log, in order."""
    segments = parse(image)
    number = max(segments)
    limits: dict[int, int] = {number: len(image.read(segment_name(number)))}
    while (previous := segments[number].header.previous)[0] in segments:
        number = previous[0]
        limits[number] = previous[1]
    for number in sorted(limits):
        for each in segments[number].frames:
            if each.end <= limits[number]:
                yield number, each


def records(sound: Image, damaged: Image) -> Iterator[Record]:
    """Give the records of a sound log that are still there in a damaged one."""
    for number, each in counting(sound):
        content = sound.read(segment_name(number))
        name = segment_name(number)
        if damaged.files.get(name, b"")[each.start : each.end] == content[each.start : each.end]:
            tag = tag_of(parse(sound)[number].header.log_id, number)
            [(_, payload)] = find_frames(content, tag, each.start, each.end)
            yield unpack(payload)


def add_up(told: Iterator[Record]) -> tuple[dict[int, JobView], dict[str, tuple[int, int]]]:
    """Return the jobs and pauses that records come to."""
    jobs: dict[int, JobRecord] = {}
    pauses = {}
    for record in told:
        if isinstance(record, JobRecord):
            jobs[record.id] = record
        elif isinstance(record, Change) and record.id in jobs:
            jobs[record.id] = jobs[record.id]._replace(**record._asdict())
        elif isinstance(record, Reserve) and record.id in jobs:
            ready = jobs[record.id]._replace(reserves=record.reserves, state=READY)
            jobs[record.id] = ready
        elif isinstance(record, Delete):
            jobs.pop(record.id, None)
        elif isinstance(record, Pause):
            pauses[record.tube] = (record.seconds, record.until)
    alive = {name: pause for name, pause in pauses.items() if pause[1] > READ_AT}
    return {number: _seen(job) for number, job in jobs.items()}, alive


def _seen(job: JobRecord) -> JobView:
    delayed = job.state.value == "delayed" and job.order > READ_AT
    fields = job._asdict()
    del fields["id"], fields["order"]
    waits = job.state.value != "delayed" or delayed
    fields["state"] = job.state.value if waits else "ready"
    terms = TermsView(exist=False, lease=job.ttr * NS_PER_S, used=job.reserves)
    return JobView(**fields, delayed_until=job.order if delayed else 0, terms=terms)


def must_have(copy: Copy, sound: Image, damaged: Image) -> None:
    """Neither more nor less than the intact records say."""
    jobs, pauses = add_up(records(sound, damaged))
    assert copy.state.jobs == jobs
    assert copy.state.pauses == pauses


# -- tests ----------------------------------------------------------------------------------------


def test_a_sound_log_is_copied_whole(story: Story) -> None:
    """Nothing is listed, and ids go on where they were."""
    copy = salvage(story.image)
    assert copy.state == story.end
    assert copy.lost == []
    assert copy.last_id == 8 or story is stories()["torn before"]


def test_what_was_cut_off_before_is_not_missing() -> None:
    """A segment that a torn log left behind, and that was removed, was no part of it."""
    story = tell([*TORN, RESTART, b"put 0 0 9 4\r\nlast\r\n"], None, kill=True)
    assert segment_name(3) not in story.image.files, "the example is not what it is meant to be"
    copy = salvage(story.image)
    assert copy.state == story.end
    assert copy.lost == []


def test_one_record_is_damaged(story: Story) -> None:
    """Whichever: all others are copied, and its place is told."""
    for number, each in counting(story.image):
        for offset in {each.start, each.start + 5, each.start + 9, each.end - 1}:
            damaged = story.image.copy()
            damaged.files[segment_name(number)][offset] ^= 0xFF
            copy = salvage(damaged)
            must_have(copy, story.image, damaged)
            [lost] = copy.lost
            assert lost.startswith(f"{segment_name(number)}: damaged from {each.start} to ")


def test_a_header_is_damaged(story: Story) -> None:
    """What is behind it is copied all the same."""
    for name in story.image.files:
        if name.startswith("wal."):
            damaged = story.image.copy()
            damaged.files[name][17] ^= 1
            copy = salvage(damaged)
            assert copy.lost[0].startswith(f"{name}: its header is damaged")
            if story is not stories()["torn before"]:  # There, what was void may count again.
                assert copy.lost[1:] == []
                assert copy.state == story.end


def test_a_stretch_is_damaged(story: Story) -> None:
    """Several records, overwritten by anything."""
    random = Random(3)
    for _ in range(100):
        number, each = random.choice(list(counting(story.image)))
        damaged = story.image.copy()
        content = damaged.files[segment_name(number)]
        size = min(random.randint(1, 300), len(content) - each.start)
        content[each.start : each.start + size] = random.randbytes(size)
        copy = salvage(damaged)
        must_have(copy, story.image, damaged)
        assert copy.lost
        assert all(lost.startswith(segment_name(number)) for lost in copy.lost)


def test_a_file_is_cut(story: Story) -> None:
    """What is before the cut is copied; in all but the last, it is known what is missing."""
    *others, last = sorted(parse(story.image))
    for number, each in counting(story.image):
        name = segment_name(number)
        damaged = story.image.copy()
        del damaged.files[name][each.end - 1 :]
        copy = salvage(damaged)
        must_have(copy, story.image, damaged)
        damaged_at = f"{name}: damaged from {each.start} to {each.end - 1}"
        if number in others:
            assert any(lost.startswith(f"{name}: ends at {each.end - 1}, ") for lost in copy.lost)
        else:
            assert number == last
            assert any(lost.startswith(damaged_at) for lost in copy.lost)


def test_a_file_is_missing(story: Story) -> None:
    """It is listed, whichever it is but the last."""
    *others, _ = sorted({number for number, _ in counting(story.image)})
    for number in others:
        damaged = story.image.copy()
        del damaged.files[segment_name(number)]
        copy = salvage(damaged)
        if story is not stories()["torn before"]:  # There, what was void may count again.
            must_have(copy, story.image, damaged)
        assert f"{segment_name(number)}: is missing" in copy.lost


def test_a_file_of_another_log(story: Story) -> None:
    """Nothing of it is copied, it is listed, and what it says of the one before it is ignored."""
    *others, _ = sorted({number for number, _ in counting(story.image)})
    for number in others:
        damaged = story.image.copy()
        damaged.files[segment_name(number)] = of_another_log(number)
        copy = salvage(damaged)
        if story is not stories()["torn before"]:  # There, what was void may count again.
            must_have(copy, story.image, damaged)
        assert f"{segment_name(number)}: belongs to another log" in copy.lost


def of_another_log(number: int) -> bytearray:
    """A segment of a log in which every second command makes a new one."""
    events = [*EVENTS[:2], ROTATE] * number
    return tell(events, 0, kill=False).image.files[segment_name(number)]


def test_a_renamed_file(story: Story) -> None:
    """It is listed; what it says of others is ignored."""
    numbers = sorted({number for number, _ in counting(story.image)})
    for number in numbers:
        for other in (77, 9_999_999_999):
            damaged = story.image.copy()
            damaged.files[segment_name(other)] = damaged.files.pop(segment_name(number))
            copy = salvage(damaged)
            if story is not stories()["torn before"]:  # There, what was void may count again.
                must_have(copy, story.image, damaged)
            assert any(lost.startswith(segment_name(other)) for lost in copy.lost)
            assert len(copy.lost) < 10


def test_two_files_that_were_exchanged() -> None:
    """Renaming saves more than any salvage, so that is said, with both names."""
    story = tell([*EVENTS[:2], ROTATE, *EVENTS[2:], ROTATE], 0, kill=False)
    damaged = story.image.copy()
    one, two = segment_name(1), segment_name(2)
    damaged.files[one], damaged.files[two] = damaged.files[two], damaged.files[one]
    lost = salvage(damaged).lost
    assert f"{one}: is segment 2 under a wrong name; rename it back to {two}, and" in lost[0]
    assert f"{two}: is segment 1 under a wrong name; rename it back to {one}, and" in lost[1]


class Unreadable(Image):
    """A directory in which one file's beginning cannot be read."""

    name = ""

    def read_start(self, name: str, size: int) -> bytes:
        if name == self.name:
            raise OSError(errno.EIO, "Input/output error")
        return super().read_start(name, size)


def test_a_header_cannot_be_read(story: Story) -> None:
    """The others are copied all the same."""
    for name in parse(story.image):
        damaged = Unreadable(story.image.copy().files)
        damaged.name = segment_name(name)
        rescue = Salvage(damaged, Broker(), NOW, READ_AT - NOW)
        if len(parse(story.image)) > 1:
            rescue.read()
            assert (
                rescue.lost[0] == f"{damaged.name}: its header cannot be read: Input/output error"
            )


def test_junk_with_a_high_number(story: Story) -> None:
    """Is listed, and costs nothing."""
    damaged = story.image.copy()
    damaged.files[segment_name(9_999_999_999)] = bytearray(b"junk" * 30)
    copy = salvage(damaged)
    assert copy.state == story.end
    assert all(lost.startswith(segment_name(9_999_999_999)) for lost in copy.lost)


def test_unknown_records(story: Story) -> None:
    """Are listed, and nothing around them is lost."""
    damaged = story.image.copy()
    number, original = max(parse(story.image).items())
    end = original.frames[-1].end
    block = frame(b"\x63 of a later version", tag_of(original.header.log_id, number), end)
    damaged.files[segment_name(number)][end : end + len(block)] = block
    copy = salvage(damaged)
    assert copy.state == story.end
    assert copy.lost == [f"{segment_name(number)}: a record of unknown kind 99 at {end}"]


def test_nothing_to_salvage() -> None:
    """Is said, and no new log is begun."""
    for files in ({}, {segment_name(1): bytearray(b"junk" * 20)}, {"x": bytearray(HEADER_SIZE)}):
        with pytest.raises(JournalError, match="no segment with a readable header"):
            Salvage(Image(files), Broker(), 0, EPOCH).read()


def test_a_large_log() -> None:
    """Of many segments, with bodies larger than a segment, and pauses: all of it is copied."""
    core = LogCore(Image())
    session, random = core.connect(), Random(4)
    for number in range(300):
        size = 40_000 if number % 60 == 7 else random.randrange(900)
        core.send(session, b"use t%d\r\n" % (number % 7))
        body = random.randbytes(size)
        core.send(session, b"put 0 %d 9 %d\r\n%b\r\n" % (number % 3 * 5000, size, body))
    core.send(session, b"pause-tube t1 9999\r\n")
    core.kill()
    assert isinstance(core.directory, Image)
    names = sorted(name for name in core.directory.files if name.startswith("wal."))
    assert len(names) > 10
    damaged = core.directory.copy()
    for name in names[2:8]:
        damaged.files[name][random.randrange(100, len(damaged.files[name]))] ^= 1
    copy = salvage(damaged)
    must_have(copy, core.directory, damaged)
    assert len(copy.lost) == 6
    assert len(copy.state.jobs) >= 300 - 6
    assert copy.state.pauses == {"t1": (9999, EPOCH + 9999 * NS_PER_S)}
