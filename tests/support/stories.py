"""Small logs whose whole history is known, to be damaged: what must come of it in each case."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from stalkd.broker.broker import Broker
from stalkd.broker.limits import NS_PER_S
from stalkd.journal.errors import JournalError
from stalkd.journal.frames import (
    FRAME_SIZE,
    HEADER_SIZE,
    START,
    Header,
    Position,
    find_frames,
    tag_of,
    unpack_header,
)
from stalkd.journal.limits import COPY_STEP
from stalkd.journal.records import Checkpoint, unpack
from stalkd.journal.replay import Recovered, Replay
from stalkd.journal.segment import segment_name, segment_number
from support.directories import Image
from support.journal import EPOCH, LogCore
from support.view import View, view

READ_AT = EPOCH + 3600 * NS_PER_S
"""What the wall clock says when the logs are read."""

ROTATE, RESTART, TEAR, COMPACT = b"rotate", b"restart", b"tear", b"compact"

BEGINNING = [
    *(b"put 7 0 9 3\r\none\r\n", b"put 5 9000 9 3\r\ntwo\r\n", b"put 6 0 9 0\r\n\r\n"),
    *(b"reserve-job 3\r\n", b"bury 3 4\r\n", b"pause-tube default 9999\r\n"),
    ROTATE,
    *(b"put 2 0 9 30\r\n%b\r\n" % bytes(30), b"reserve-job 1\r\n", b"release 1 9 8000\r\n"),
    *(b"kick-job 3\r\n", b"delete 4\r\n", b"put 1 0 9 4\r\nfive\r\n"),
]

ENDING = [
    *(b"put 0 0 9 3\r\nsix\r\n", b"delete 2\r\n", b"reserve-job 5\r\n", b"bury 5 8\r\n"),
    *(b"reserve-job 3\r\n", b"pause-tube default 0\r\n"),
    ROTATE,
    *(b"delete 3\r\n", b"put 3 0 9 5\r\nseven\r\n", b"reserve-job 1\r\n", b"delete 1\r\n"),
    *(b"kick-job 5\r\n", b"put 2 7200 9 5\r\neight\r\n"),
]
"""Each command makes one record, besides those that say what is synced."""

EVENTS = [*BEGINNING, RESTART, *ENDING]

TORN = [*BEGINNING, ROTATE, b"put 0 0 9 4\r\nvoid\r\n", TEAR, *ENDING]

COMPACTED = [*BEGINNING, COMPACT, RESTART, *ENDING[:-3], COMPACT, *ENDING[-3:]]


class Story(NamedTuple):
    """A log, and the places in it from which on something else was true than before."""

    image: Image
    states: list[tuple[Position, View]]

    def at(self, place: Position) -> View:
        """What was true when the log ended at a place."""
        return [state for position, state in self.states if position <= place][-1]

    @property
    def end(self) -> View:
        """What was true in the end."""
        return self.states[-1][1]

    @property
    def truths(self) -> list[View]:
        """All that was ever true."""
        return [state for _, state in self.states]


def tell(events: list[bytes], sync_ms: int | None, *, kill: bool) -> Story:
    """Make a log of a history."""
    image = Image()
    core = LogCore(image, sync_ms=sync_ms)
    session = core.connect()
    states = [((0, 0), _state(core))]
    for event in events:
        if event == ROTATE:
            core.log.writer.rotate()
            core.round()
        elif event == COMPACT:
            core.log.compactor._step(COPY_STEP)
            core.idle()
        elif event in {RESTART, TEAR}:
            core = _restart(core, states, tear=event == TEAR, kill=kill)
            session = core.connect()
        else:
            core.send(session, event)
        states.append(((core.log.writer.number, core.log.writer.written), _state(core)))
    (core.kill if kill else core.close)()
    segments = parse(image)
    return Story(image, [(_end_of_record(segments, place), state) for place, state in states])


def _end_of_record(segments: dict[int, Original], written: Position) -> Position:
    """Behind the record of a change there may be one that says what is synced."""
    number, offset = written
    frames = segments[number].frames if number in segments else []
    ends = [each.end for each in frames if each.synced is None and each.end <= offset]
    return number, max(ends, default=0)


def _state(core: LogCore) -> View:
    return view(core.broker, core.wall, READ_AT)


def _restart(
    core: LogCore, states: list[tuple[Position, View]], *, tear: bool, kill: bool
) -> LogCore:
    if not tear:
        return core.restart(kill=kill, after=NS_PER_S)
    # Of all since the last record but one before the new segment, only that is on the disk.
    del states[-3:]
    number, offset = states[-1][0]
    assert isinstance(core.directory, Image)
    core.directory.files[segment_name(number)][offset + FRAME_SIZE] ^= 1
    core = core.restart(kill=True)
    assert core.recovered.notes
    return core


@cache
def stories() -> dict[str, Story]:
    """The logs that are damaged."""
    return {
        "closed": tell(EVENTS, 0, kill=False),
        "killed": tell(EVENTS, 0, kill=True),
        "never synced": tell(EVENTS, None, kill=True),
        "torn before": tell(TORN, None, kill=True),
        "compacted": tell(COMPACTED, 0, kill=True),
    }


# -- reading one ----------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What a start on a log comes to: it is refused with a message, or there is a state."""

    refused: str | None
    state: View | None
    recovered: Recovered


def start(image: Image) -> Outcome:
    """Replay a log; only one kind of exception may say that it cannot be."""
    broker, wall = Broker(), READ_AT - 77
    replay = Replay(image, broker, 77, wall)
    try:
        for _ in replay.run():
            pass
    except JournalError as error:
        return Outcome(str(error), None, replay.recovered)
    return Outcome(None, view(broker, wall, READ_AT), replay.recovered)


# -- what must come of it -------------------------------------------------------------------------


class Frame(NamedTuple):
    """Where a frame is, or was; if it is a checkpoint, what that says."""

    start: int
    end: int
    synced: Position | None
    first: int


class Original(NamedTuple):
    """A segment as it was written."""

    header: Header
    frames: list[Frame]


def parse(image: Image) -> dict[int, Original]:
    """Take a sound log apart."""
    segments = {}
    for name in sorted(image.files):
        number = segment_number(name)
        if number is not None:
            data = image.read(name)
            header = unpack_header(data)
            segments[number] = Original(header, list(_frames(data, header)))
    return segments


def _frames(data: bytes, header: Header) -> Iterator[Frame]:
    tag = tag_of(header.log_id, header.number)
    for start_, payload in find_frames(data, tag, HEADER_SIZE, len(data)):
        record = unpack(payload)
        synced, first = None, 1
        if isinstance(record, Checkpoint):
            synced, first = (record.synced_segment, record.synced_offset), record.first
        yield Frame(start_, start_ + FRAME_SIZE + len(payload), synced, first)


class Verdict(NamedTuple):
    """Whether a start must be refused; where the log ends, None if where it did.

    ``noted`` says that something is left out there.
    """

    refused: bool
    place: Position | None
    noted: bool


class Judge:
    """Knows a sound log, and says what must come of it when its bytes are others.

    Bytes are compared, so this has nothing in common with how a log is read.
    """

    def __init__(self, sound: Image) -> None:
        self._sound = {number: sound.read(segment_name(number)) for number in parse(sound)}
        self._parsed = parse(sound)

    def verdict(self, damaged: Image) -> Verdict:
        data = {number: damaged.read(segment_name(number)) for number in self._sound}
        readable = [number for number in data if self._is_intact(data, number, 0, HEADER_SIZE)]
        if not readable:
            return Verdict(refused=True, place=(min(data), 0), noted=True)
        place = self._place(data, readable)
        if place is None:
            return Verdict(refused=False, place=None, noted=False)
        number, offset = place
        marks = list(self._marks(data))
        if max((mark.synced or START for mark in marks), default=START) > place:
            return Verdict(refused=True, place=place, noted=True)
        if offset == 0 and number < readable[-1]:
            older = {each: data[each] for each in data if each < number}  # The log ends before it.
            readable = [each for each in readable if each < number]
            if not readable or self._links(older, readable)[0][0] not in readable:
                return Verdict(refused=True, place=place, noted=True)
            number, offset = place = self._place(older, readable) or place
        previous = self._links(data, readable)[0][0] - 1
        if previous >= max((mark.first for mark in marks), default=1):
            return Verdict(refused=True, place=(previous, 0), noted=True)
        noted = number < max(data) or not offset or any(data[number][offset:])
        return Verdict(refused=False, place=place, noted=noted)

    def _is_intact(self, data: dict[int, bytes], number: int, start: int, end: int) -> bool:
        return data[number][start:end] == self._sound[number][start:end]

    def _place(self, data: dict[int, bytes], readable: list[int]) -> Position | None:
        """Where the log is not as it was first."""
        for number, limit in self._links(data, readable):
            if number not in readable:
                return number, 0
            place = self._place_in(data, number, limit)
            if place is not None:
                return number, place
        behind = [number for number in data if number > readable[-1]]
        return (behind[0], 0) if behind else None

    def _links(self, data: dict[int, bytes], readable: list[int]) -> list[tuple[int, int | None]]:
        """The segments that are part of the log, and up to where."""
        links: list[tuple[int, int | None]] = [(readable[-1], None)]
        while links[0][0] in readable:
            previous = self._parsed[links[0][0]].header.previous
            if previous[0] not in data:
                break
            links.insert(0, previous)
        return links

    def _place_in(self, data: dict[int, bytes], number: int, limit: int | None) -> int | None:
        end = HEADER_SIZE
        for frame in self._parsed[number].frames:
            if limit is not None and frame.end > limit:
                return None
            if frame.start != end or not self._is_intact(data, number, frame.start, frame.end):
                return end
            end = frame.end
        sound = not any(data[number][end:]) if limit is None else end == limit
        return None if sound else end

    def _marks(self, data: dict[int, bytes]) -> Iterator[Frame]:
        """The checkpoints that are left."""
        for number, original in self._parsed.items():
            for frame in original.frames:
                if frame.synced and self._is_intact(data, number, frame.start, frame.end):
                    yield frame


# -- what every test asks -------------------------------------------------------------------------

STRIDE = 97
"""Of the bytes behind the last frame, one of so many is damaged: they are all alike."""


def places(story: Story) -> Iterator[tuple[str, int]]:
    """Give (name of a file, offset) for all bytes that matter, and some of those that do not."""
    for number, original in parse(story.image).items():
        name = segment_name(number)
        end, size = original.frames[-1].end, story.image.size(name)
        for offset in [*range(min(end + 20, size)), *range(end + 20, size, STRIDE)]:
            yield name, offset


def goes_on(image: Image) -> None:
    """Make sure that a log which was accepted goes on, and that nothing is wrong with it then."""
    core = LogCore(image.copy(), wall=READ_AT)
    core.ask(core.connect(), b"put 0 0 9 4\r\nmore\r\n")
    expected = core.view()
    for kill in (True, False):
        core = core.restart(kill=kill)
        assert core.view() == expected
        assert core.recovered.notes == []
    core.idle()
    core.check()
    names = {segment_name(number) for number in core.log.segments}
    assert {name for name in image_of(core).files if name.startswith("wal.")} == names


def image_of(core: LogCore) -> Image:
    assert isinstance(core.directory, Image)
    return core.directory


def segments(image: Image) -> list[str]:
    return sorted(name for name in image.files if name.startswith("wal."))


def must_refuse(image: Image, *words: str) -> None:
    """A start is refused with a message that has all these words, and changes nothing."""
    before = image.copy().files
    message = start(image).refused
    assert message is not None
    for word in words:
        assert word in message
    assert image.files == before


def must_be_true_once(outcome: Outcome, story: Story) -> None:
    assert outcome.refused is not None or outcome.state in story.truths
