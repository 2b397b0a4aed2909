"""Which files make up the log, in which order, and how far each of them counts.

Each segment's header says where the log stops that it goes on from. So the log is found by walking
back from the newest segment; what lies off that way is not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stalkd.journal.errors import DamagedError, JournalError
from stalkd.journal.frames import (
    FRAME_SIZE,
    HEADER_SIZE,
    START,
    ForeignError,
    Header,
    HeaderError,
    Position,
    is_blank,
    read_frames,
    tag_of,
    unpack_header,
)
from stalkd.journal.records import CHECKPOINT_SIZE
from stalkd.journal.segment import segment_name, segment_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalkd.journal.files import Directory

FRESH_SIZE: Final = HEADER_SIZE + FRAME_SIZE + CHECKPOINT_SIZE
"""What is written before a log is synced for the first time."""

FOREIGN_PREFIX: Final = "binlog."
"""How the files of beanstalkd's log begin."""


@dataclass(frozen=True, slots=True)
class Source:
    """A segment's file. ``header`` is None if it cannot be read; ``problem`` then says why."""

    number: int
    size: int
    header: Header | None
    problem: str = ""
    problem_at: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A segment that is part of the log, up to ``limit``; None: to its end, as it is the last."""

    source: Source
    limit: int | None

    @property
    def previous(self) -> Position:
        """Return where the log stops that the segment goes on from."""
        return START if self.source.header is None else self.source.header.previous


@dataclass(frozen=True, slots=True)
class Survey:
    """All segments that are there, by number, oldest first.

    ``log_id`` is None if none has a readable header.
    """

    log_id: int | None
    sources: dict[int, Source]

    def tag(self, number: int) -> int:
        """Return the tag of a segment's frames."""
        return 0 if self.log_id is None else tag_of(self.log_id, number)

    def chains(self) -> Iterator[list[Link]]:
        """Give what may be the log, oldest link first, each time an older part of what is there.

        A power cut may leave a segment whose predecessor never got to the disk; then it is not
        part of the log, which ends before that one.
        """
        below = max(self.sources, default=0) + 1
        while True:
            readable = [
                each for each in self.sources.values() if each.header and each.number < below
            ]
            if not readable:
                return
            links = self._links(readable[-1])
            yield links
            below = links[0].source.number

    def _links(self, newest: Source) -> list[Link]:
        links = [Link(newest, None)]
        header = newest.header
        while header is not None:
            number, offset = header.previous
            source = self.sources.get(number)
            if source is None or source.header is None or number >= header.number:
                break  # Removed because nothing needed it, or lost: the checkpoints tell.
            links.append(Link(source, offset))
            header = source.header
        return links[::-1]


def survey(directory: Directory) -> Survey:
    """Look at a directory; without links if there is no log. Raises JournalError, OSError."""
    names = directory.names()
    numbers = sorted(filter(None, map(segment_number, names)))
    if not numbers:
        if any(name.startswith(FOREIGN_PREFIX) for name in names):
            raise JournalError(
                f"{directory.path} holds the log of a beanstalkd, which stalkd does not read;"
                " use another directory"
            )
        return Survey(None, {})
    sources = {number: _look(directory, number) for number in numbers}
    readable = [source for source in sources.values() if source.header is not None]
    if not readable:
        _demand_unused(directory, sources)
        return Survey(None, sources)
    return Survey(_only_log_id(directory, readable), sources)


def _look(directory: Directory, number: int) -> Source:
    name = segment_name(number)
    size = directory.size(name)
    try:
        start = directory.read_start(name, FRESH_SIZE)
        header = unpack_header(start)
    except ForeignError as error:
        raise JournalError(f"{directory.path / name}: {error}; use that version") from error
    except HeaderError as error:
        return Source(number, size, None, str(error))
    if header.number != number:
        raise JournalError(
            f"{directory.path / name} is segment {header.number} under a wrong name; it does not"
            " belong here: move it away, or rename it back"
        )
    if not any(read_frames(start, tag_of(header.log_id, number), HEADER_SIZE, len(start))):
        return Source(number, size, None, "its first record is damaged", HEADER_SIZE)
    return Source(number, size, header)


def _only_log_id(directory: Directory, readable: list[Source]) -> int:
    """Return the log's id. Raises JournalError if there are segments of several logs."""
    headers = [source.header for source in readable if source.header is not None]
    newest = headers[-1]
    for header in headers:
        if header.log_id != newest.log_id:
            raise JournalError(
                f"{directory.path / segment_name(header.number)} belongs to another log than"
                f" {segment_name(newest.number)}; move away what does not belong here"
            )
    return newest.log_id


def _demand_unused(directory: Directory, sources: dict[int, Source]) -> None:
    """Accept a log that never got beyond its creation; raise DamagedError for any other."""
    for source in sources.values():
        name = segment_name(source.number)
        data = directory.read(name)
        if not is_blank(data, min(FRESH_SIZE, len(data)), len(data)):
            raise DamagedError(
                f"{directory.path / name}: {source.problem}; without it nothing can be read:"
                " restore the directory from a backup, or move the file away"
            )
