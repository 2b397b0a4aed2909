"""Cuts what a server sends into replies, and writes each as lines of a conversation."""

from __future__ import annotations

import re
from typing import NamedTuple

from differential.script import escape

_WITH_BODY = re.compile(rb"(?:(?:RESERVED|FOUND) \d+|(OK)) (\d+)")


class Reply(NamedTuple):
    """One reply: its first line, and its body if it is of the kind that has one."""

    head: bytes
    body: bytes | None

    def lines(self) -> list[str]:
        """The reply as the lines of a conversation, without the name of the connection."""
        first = _line("<", self.head)
        if self.body is None:
            return [first]
        if self.head.startswith(b"OK "):
            return [
                first,
                *(_line("|", line) for line in self.body.removesuffix(b"\n").split(b"\n")),
            ]
        return [first, _line("<", self.body)]


def _line(mark: str, data: bytes) -> str:
    return f"{mark} {escape(data)}".rstrip()


def take_replies(received: bytearray) -> list[Reply]:
    """Take all complete replies off the front of ``received``.

    A body must be exactly as long as its head says and be followed by CR LF. One that is not is
    left where it is, and so is an incomplete reply.
    """
    replies: list[Reply] = []
    while (found := _first(received)) is not None:
        reply, length = found
        replies.append(reply)
        del received[:length]
    return replies


def _first(received: bytearray) -> tuple[Reply, int] | None:
    head, end, _ = received.partition(b"\r\n")
    if not end:
        return None
    start = len(head) + 2
    with_body = _WITH_BODY.fullmatch(head)
    if with_body is None:
        return Reply(bytes(head), None), start
    stop = start + int(with_body[2])
    if received[stop : stop + 2] != b"\r\n":
        return None
    body = bytes(received[start:stop])
    if with_body[1] and not body.endswith(b"\n"):
        return None
    return Reply(bytes(head), body), stop + 2
