r"""The text format of a conversation, and how one line of it is matched.

A conversation is played from top to bottom on a server of its own::

    # a comment
    server -z 10            options for the server (before the first step)
    socket unix             listen on a path that a dead server left behind

    A> put 0 0 60 3\r\nabc\r\n
    A< INSERTED 1           the reply line, CR LF not shown
    A> stats-tube default\r\n
    A< OK *
    A| ---                  a reply line that ends with LF only
    A| name: default
    B half-closes           also: closes
    B is closed             the server hung up
    wait 1.1
    signal USR1             also: STOP, CONT

A connection opens when it is first used, and again when it is used after ``closes``. After each
step, every byte that any connection then receives must be listed, in order for each of them:
what is not listed must not come. In sent text ``\r \n \t \\ \xHH`` and ``\{text*200}`` (text, 200
times) mean what they say. In replies ``*`` stands for anything, ``<3..5>`` for such a number, and
``A| ...`` for any further lines of the same text.

Where stalkd departs from beanstalkd on purpose, both sides are written down, under a name that
`deviations.py` explains::

    deviation fifo-waiters
    beanstalkd:
        C< RESERVED 3 0
    stalkd:
        B< RESERVED 3 0
    end
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from differential.deviations import translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Speaker = Literal["beanstalkd", "stalkd"]
SPEAKERS: tuple[Speaker, ...] = get_args(Speaker)


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes a connection sends."""

    who: str
    data: bytes

    def __str__(self) -> str:
        return f"{self.who}> {escape(self.data)}"


@dataclass(frozen=True, slots=True)
class Leave:
    """A connection goes: ``closes`` or ``half-closes`` (sends no more)."""

    who: str
    how: str

    def __str__(self) -> str:
        return f"{self.who} {self.how}"


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes."""

    seconds: float

    def __str__(self) -> str:
        return f"wait {self.seconds:g}"


@dataclass(frozen=True, slots=True)
class Signal:
    """The server process gets a signal."""

    name: str

    def __str__(self) -> str:
        return f"signal {self.name}"


Action = Send | Leave | Wait | Signal


@dataclass(frozen=True, slots=True)
class Heard:
    """One line that a connection receives; ``text`` is all of the line but the name."""

    who: str
    text: str

    def __str__(self) -> str:
        return self.who + self.text


CLOSED = " is closed"


@dataclass(slots=True)
class Exchange:
    """One step, and everything that is heard before the next one."""

    action: Action
    heard: list[Heard] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The exchange as it stands in a file."""
        yield str(self.action)
        yield from map(str, self.heard)


@dataclass(slots=True)
class Conversation:
    """What is said to one server and what it must answer."""

    options: tuple[str, ...] = ()
    unix: bool = False
    exchanges: list[Exchange] = field(default_factory=list)
    deviations: set[str] = field(default_factory=set)

    def lines(self) -> list[str]:
        """All steps and replies as they stand in a file."""
        return [line for exchange in self.exchanges for line in exchange.lines()]


class FormatError(ValueError):
    """A line of a conversation file that means nothing."""


_REPLY = re.compile(r"(\w+)([<|](?: .*)?| is closed)")
_SEND = re.compile(r"(\w+)> (.*)")
_LEAVE = re.compile(r"(\w+) (closes|half-closes)")
_WAIT = re.compile(r"wait (\d+(?:\.\d+)?)")
_SIGNAL = re.compile(r"signal ([A-Z0-9]+)")


def load(path: Path, speaker: Speaker) -> Conversation:
    """Read a conversation file as ``speaker`` is expected to answer it."""
    return parse(path.read_text(encoding="ascii").splitlines(), speaker)


def parse(lines: Iterable[str], speaker: Speaker) -> Conversation:
    """Read a conversation, leaving out what is said to and by the other server."""
    conversation = Conversation()
    addressed: str = ""  # inside a deviation: whom the lines are for
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if line.startswith("deviation "):
            conversation.deviations.add(line.removeprefix("deviation "))
            addressed = "nobody"
        elif line.removesuffix(":") in SPEAKERS:
            addressed = line.removesuffix(":")
        elif line == "end":
            addressed = ""
        elif line and not line.startswith("#") and addressed in {"", speaker}:
            try:
                _add(conversation, line, translate=not addressed and speaker == "stalkd")
            except FormatError as error:
                raise FormatError(f"line {number}: {error}") from None
    return conversation


def _add(conversation: Conversation, line: str, *, translate: bool) -> None:
    """Take one significant line into the conversation."""
    if reply := _REPLY.fullmatch(line):
        if not conversation.exchanges:
            raise FormatError(f"a reply to nothing: {line}")
        texts = translated([reply[2]]) if translate else [reply[2]]
        conversation.exchanges[-1].heard += [Heard(reply[1], text) for text in texts]
    elif line.startswith("server "):
        conversation.options = tuple(line.split()[1:])
    elif line == "socket unix":
        conversation.unix = True
    else:
        conversation.exchanges.append(Exchange(parse_action(line)))


def parse_action(line: str) -> Action:
    """Read one step."""
    if send := _SEND.fullmatch(line):
        return Send(send[1], unescape(send[2]))
    if leave := _LEAVE.fullmatch(line):
        return Leave(leave[1], leave[2])
    if wait := _WAIT.fullmatch(line):
        return Wait(float(wait[1]))
    if signal := _SIGNAL.fullmatch(line):
        return Signal(signal[1])
    raise FormatError(f"not a step: {line}")


_SIMPLE = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}
_TOKEN = re.compile(
    r"\\\{(?P<unit>.+?)\*(?P<times>\d+)\}|\\x(?P<hex>[0-9a-f]{2})|\\(?P<simple>[rnt\\])|(?P<text>[^\\])"
)


def unescape(text: str) -> bytes:
    """Turn the text of a step into the bytes it stands for."""
    data = bytearray()
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise FormatError(f"not an escape: {text[at : at + 4]}")
        data += _bytes_of(token)
        at = token.end()
    return bytes(data)


def _bytes_of(token: re.Match[str]) -> bytes:
    if token["unit"]:
        return unescape(token["unit"]) * int(token["times"])
    if token["hex"]:
        return bytes.fromhex(token["hex"])
    if token["simple"]:
        return _SIMPLE[token["simple"]]
    return token["text"].encode("ascii")


_RUN = re.compile(rb"(.)\1{39,}", re.DOTALL)
_NAMED = {0x0D: r"\r", 0x0A: r"\n", 0x09: r"\t", 0x5C: "\\\\"}
_MEANS_SOMETHING = b"*<"


def escape(data: bytes) -> str:
    """Turn bytes into the one text that stands for them (the inverse of `unescape`)."""
    parts: list[str] = []
    at = 0
    for run in _RUN.finditer(data):
        parts += (_plain(data[at : run.start()]), f"\\{{{_plain(run[1])}*{len(run[0])}}}")
        at = run.end()
    parts.append(_plain(data[at:]))
    text = "".join(parts)
    return text[:-1] + r"\x20" if text.endswith(" ") else text


def _plain(data: bytes) -> str:
    return "".join(_NAMED.get(byte) or _printable(byte) for byte in data)


def _printable(byte: int) -> str:
    shown = 0x20 <= byte < 0x7F and byte not in _MEANS_SOMETHING
    return chr(byte) if shown else f"\\x{byte:02x}"


_PATTERN = re.compile(r"(\*|<-?\d+\.\.-?\d+>)")


def matches(expected: str, actual: str) -> bool:
    """Whether a line that was heard is one that the file allows."""
    pieces = _PATTERN.split(expected)
    regex = "".join(
        re.escape(piece) if index % 2 == 0 else "(.*)" if piece == "*" else r"(-?\d+)"
        for index, piece in enumerate(pieces)
    )
    found = re.fullmatch(regex, actual)
    return found is not None and all(map(_within, pieces[1::2], found.groups()))


def _within(wildcard: str, value: str) -> bool:
    if wildcard == "*":
        return True
    low, high = wildcard.strip("<>").split("..")
    return int(low) <= int(value) <= int(high)
