"""Ways to read a reply: what follows the word that a command hopes for.

Readers of what most commands get are made once for each of them, and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NoReturn, TypeVar

from stalkd_client.errors import ERRORS, BuriedError, ExistsError, ProtocolError
from stalkd_client.exchange import Reading
from stalkd_client.jobs import Job

T = TypeVar("T")


def refuse(verb: str, line: bytes) -> NoReturn:
    """Raise what a line means that is not the expected reply."""
    word, _, rest = line.partition(b" ")
    text = f"{verb}: {line.decode('latin-1')}"
    if word == b"BURIED":
        raise BuriedError(text, int(rest or 0))
    if word == b"EXISTS":
        raise ExistsError(text, int(rest))
    error = ERRORS.get(word)
    if error is None:
        raise ProtocolError(f"{verb}: the server answered {line[:100]!r}")
    raise error(text)


def expect(verb: str, line: bytes, word: bytes) -> bytes:
    """Return what stands behind a reply's word."""
    found, _, rest = line.partition(b" ")
    if found != word:
        refuse(verb, line)
    return rest


def number(verb: str, text: bytes) -> int:
    """Read a decimal number."""
    if not text.isdigit():
        raise ProtocolError(f"{verb}: the server answered {text[:100]!r} for a number")
    return int(text)


@cache
def done(verb: str, word: bytes) -> Callable[[], Reading[None]]:
    """Read a reply of one word."""

    def read() -> Reading[None]:
        expect(verb, (yield None), word)

    return read


@cache
def count(verb: str, word: bytes) -> Callable[[], Reading[int]]:
    """Read a reply of a word and a number."""

    def read() -> Reading[int]:
        return number(verb, expect(verb, (yield None), word))

    return read


@cache
def word(verb: str, expected: bytes) -> Callable[[], Reading[str]]:
    """Read a reply of two words; give the second."""

    def read() -> Reading[str]:
        return expect(verb, (yield None), expected).decode("ascii")

    return read


def body(verb: str, size: bytes) -> Reading[bytes]:
    """Read so many bytes and CR LF."""
    length = number(verb, size)
    data = yield length + 2
    if data[-2:] != b"\r\n":
        raise ProtocolError(f"{verb}: a body of {length} bytes does not end where it should")
    return data[:-2]


@cache
def job(verb: str, word: bytes) -> Callable[[], Reading[Job]]:
    """Read a job's id, size and body."""

    def read() -> Reading[Job]:
        text, _, size = expect(verb, (yield None), word).partition(b" ")
        content = yield from body(verb, size)
        return Job(number(verb, text), content)

    return read


def yaml(verb: str, parse: Callable[[str], T]) -> Callable[[], Reading[T]]:
    """Read a document."""

    def read() -> Reading[T]:
        content = yield from body(verb, expect(verb, (yield None), b"OK"))
        return parse(content.decode("utf-8", "replace"))

    return read
