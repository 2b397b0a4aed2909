"""Files that are missing, strange or misplaced: the start is refused, or they do no harm."""

from __future__ import annotations

from zlib import crc32

import pytest

from stalkd.broker.limits import NS_PER_S
from stalkd.journal.frames import HEADER_SIZE, MAGIC, frame, tag_of
from stalkd.journal.limits import FORMAT_VERSION
from stalkd.journal.segment import segment_name
from support.directories import Image
from support.journal import EPOCH, LogCore
from support.stories import (
    BEGINNING,
    EVENTS,
    READ_AT,
    ROTATE,
    Judge,
    Story,
    goes_on,
    must_be_true_once,
    must_refuse,
    parse,
    places,
    segments,
    start,
    stories,
    tell,
)


def test_a_missing_file(story: Story) -> None:
    """Is named, whichever it is, unless it was the last."""
    linked = [parse(story.image)[number].header.previous[0] for number in parse(story.image)]
    for name in segments(story.image)[:-1]:
        damaged = story.image.copy()
        del damaged.files[name]
        if int(name[-10:]) in linked:
            must_refuse(damaged, f"{name} is missing", "--salvage")
        else:
            assert start(damaged).state == story.end, "it was no part of the log any more"


def test_the_last_file_is_missing(story: Story) -> None:
    """No other file knows of it: what was before is there."""
    damaged = story.image.copy()
    del damaged.files[segments(damaged)[-1]]
    outcome = start(damaged)
    previous = parse(story.image)[int(segments(story.image)[-1][-10:])].header.previous
    if outcome.refused is None:
        assert outcome.state == story.at(previous)
    else:
        assert "is missing" in outcome.refused


def test_several_files_are_missing(story: Story) -> None:
    """Whichever: never another exception, and never what was not true."""
    names = segments(story.image)
    for mask in range(1, 2 ** len(names) - 1):
        damaged = story.image.copy()
        for place, name in enumerate(names):
            if mask >> place & 1:
                del damaged.files[name]
        must_be_true_once(start(damaged), story)


def test_a_renamed_file(story: Story) -> None:
    """Is refused by name, whether the new number is another's or free."""
    names = segments(story.image)
    for name in names:
        for other in [*names, segment_name(77)]:
            if other != name:
                damaged = story.image.copy()
                damaged.files[other] = damaged.files.pop(name)
                must_refuse(damaged, other, "wrong name")


def test_a_file_of_another_log(story: Story) -> None:
    """In the place of one's own, or behind all: both are not mixed."""
    other = tell(EVENTS, 0, kill=False).image
    for name in segments(other):
        if name in story.image.files:
            damaged = story.image.copy()
            damaged.files[name] = other.files[name]
            must_refuse(damaged, name, "another log")


def test_empty_files(story: Story) -> None:
    """Behind the log it never was; any other is missing."""
    *others, last = segments(story.image)
    judge = Judge(story.image)
    for name in others:
        damaged = story.image.copy()
        damaged.files[name] = bytearray()
        verdict = judge.verdict(damaged)
        if verdict.refused:
            must_refuse(damaged, name)
        else:
            assert verdict.place is None, "it was no part of the log any more"
    damaged = story.image.copy()
    damaged.files[segment_name(int(last[-10:]) + 1)] = bytearray()
    outcome = start(damaged)
    assert outcome.state == story.end
    assert len(outcome.recovered.notes) == 1
    goes_on(damaged)


@pytest.mark.parametrize("size", [0, 10, HEADER_SIZE, 4096])
def test_a_first_segment_that_was_never_written(size: int) -> None:
    """The first start was cut short: the next one begins the log."""
    image = Image({segment_name(1): bytearray(size), "reserve": bytearray()})
    assert start(image).refused is None
    goes_on(image)


def test_a_first_segment_that_is_junk() -> None:
    """Is not taken for one that was never written."""
    for content in (b"junk" * 100, bytes(150) + b"x"):
        must_refuse(Image({segment_name(1): bytearray(content)}), segment_name(1), "restore")


OTHER_NAMES = [
    *("wal", "wal.", "wal.1", "wal.000000000x", "wal.0000000001.bak", "wal.00000000000"),
    *("wal.00000000009", "wal." + 10 * "\u0661", "WAL.0000000001", "binlog.1", "reserve", "lock"),
]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_other_files_in_the_directory(story: Story, name: str) -> None:
    """Are nobody's business."""
    image = story.image.copy()
    image.files[name] = bytearray(b"anything")
    outcome = start(image)
    assert outcome.state == story.end
    assert outcome.recovered.notes == []
    if name != "reserve":
        LogCore(image, wall=READ_AT).restart().idle()
        assert image.files[name] == b"anything"


def test_the_log_of_beanstalkd() -> None:
    """Is not passed over in silence."""
    must_refuse(Image({"binlog.1": bytearray(b"\7\0\0\0"), "lock": bytearray()}), "beanstalkd")


# -- what this version does not know --------------------------------------------------------------


def test_a_newer_version(story: Story) -> None:
    """Of any one of the files."""
    for name in segments(story.image):
        damaged = story.image.copy()
        header = damaged.files[name][: HEADER_SIZE - 4]
        header[len(MAGIC) : len(MAGIC) + 4] = (FORMAT_VERSION + 1).to_bytes(4, "little")
        damaged.files[name][:HEADER_SIZE] = header + crc32(header).to_bytes(4, "little")
        must_refuse(damaged, name, f"newer stalkd, in format {FORMAT_VERSION + 1}")


def append(image: Image, payload: bytes) -> str:
    """Write a record behind the last segment's last one; return the segment's name."""
    number, original = max(parse(image).items())
    name, end = segment_name(number), original.frames[-1].end
    block = frame(payload, tag_of(original.header.log_id, number), end)
    image.files[name][end : end + len(block)] = block
    return name


UNKNOWN = [b"\x63 of a later version", b"\2 a job in short"]


@pytest.mark.parametrize("payload", UNKNOWN, ids=repr)
def test_an_intact_record_that_is_not_known(story: Story, payload: bytes) -> None:
    """It is no damage, and not to be dropped."""
    image = story.image.copy()
    name = append(image, payload)
    must_refuse(image, name, "newer stalkd", f"kind {payload[0]}")


@pytest.mark.parametrize("payload", UNKNOWN, ids=repr)
def test_an_unknown_record_behind_a_damaged_one(story: Story, payload: bytes) -> None:
    """Is one of those that count for nothing, or makes the start fail as it should."""
    for name, offset in places(story):
        if offset % 7 == 0:
            image = story.image.copy()
            append(image, payload)
            image.files[name][offset] ^= 1
            must_be_true_once(start(image), story)


def test_an_end_that_is_cut_off_before_an_unreadable_segment() -> None:
    """What is missing was certain all the same, by what that segment says of it."""
    story = tell([*BEGINNING, ROTATE], 0, kill=True)
    last = segments(story.image)[-1]
    broken = story.image.copy()
    broken.files[last][0] ^= 1
    assert start(broken).state == story.end, "nothing but a mark is lost"
    for each in parse(story.image)[2].frames[:-1]:
        damaged = broken.copy()
        del damaged.files[segment_name(2)][each.start :]
        must_refuse(damaged, "certainly written")


def test_time_passes_between_damage_and_start() -> None:
    """A torn log is as good years later."""
    image = stories()["killed"].image.copy()
    image.files[segments(image)[-1]][-1] ^= 1
    core = LogCore(image, wall=EPOCH + 10**9 * NS_PER_S)
    core.check()
