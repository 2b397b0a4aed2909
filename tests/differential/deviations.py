"""Where stalkd departs from beanstalkd 1.12 on purpose, and how to compare all the rest.

This table is all there is: any other difference is a fault. A conversation shows a deviation in a
block of that name. Those that change nothing but the wording of some reply are translated instead,
wherever they occur.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ANYTHING = "| ..."
"""Stands for any further lines of a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One decision not to do as beanstalkd does.

    ``translate`` turns a line that beanstalkd writes into the lines that stalkd writes instead.
    ``triggered_by`` recognises the command that calls it forth, so that random conversations can
    leave it out. ``unseen`` says why no conversation can show it.
    """

    reason: str
    translate: Callable[[str], list[str]] | None = None
    triggered_by: Callable[[bytes], bool] | None = None
    unseen: str = ""


_BLOCK = 224
_QUOTED = re.compile(r"\| (?:name|tube|hostname|os|platform): (.*)")
_TIMEOUT = re.compile(rb"reserve-with-timeout  *0*(\d{1,10})(?!\d)")


def _quoted(line: str) -> list[str]:
    text = _QUOTED.fullmatch(line)
    return [f'{line[: text.start(1)]}"{text[1]}"' if text else line]


def _with_more(line: str) -> list[str]:
    return [line, ANYTHING] if line.startswith("| platform: ") else [line]


def _versioned(line: str) -> list[str]:
    return ['| version: "1.13"' if line.startswith("| version: ") else line]


def _splits_its_end(data: bytes) -> bool:
    lines = data.split(b"\r\n")[:-1]
    return any(len(line) > _BLOCK - 2 and len(line) % _BLOCK == _BLOCK - 1 for line in lines)


def _has_lone_cr(data: bytes) -> bool:
    return b"\r" in data.replace(b"\r\n", b"")


def _has_odd_timeout(data: bytes) -> bool:
    if not data.startswith(b"reserve-with-timeout "):
        return False
    timeout = _TIMEOUT.match(data)
    return timeout is None or int(timeout[1]) >= 1 << 31


DEVIATIONS = {
    "long-line-block-quirk": Deviation(
        reason="A line too long costs one BAD_FORMAT, and nothing else. The original drops it in"
        " blocks of 224 bytes; where a block ends between CR and LF, it swallows the next line.",
        triggered_by=_splits_its_end,
    ),
    "lone-cr": Deviation(
        reason="A line with a CR in it is BAD_FORMAT. The original finds no end of line any more,"
        " and answers nothing until 224 bytes have come together.",
        triggered_by=_has_lone_cr,
    ),
    "unfinished-put-invisible": Deviation(
        reason="A job whose body has not fully arrived is not found. The original shows it, with"
        " whatever its memory held before in place of what is missing.",
    ),
    "fifo-waiters": Deviation(
        reason="Those who wait for a tube are served first come, first served. The original goes"
        " round in a set in which the last takes the place of who left.",
    ),
    "ttr-always-fires": Deviation(
        reason="A job is ready again when its time is up. The original often misses that moment,"
        " and notices only when the holder says something or goes.",
    ),
    "time-left-never-negative": Deviation(
        reason="There is no time left of a job whose time was up long ago, as in the original"
        " between the moment it missed and the holder's next command.",
    ),
    "monotonic-clock": Deviation(
        reason="A step of the system's clock moves no delay, time to run or pause.",
        unseen="a test cannot set the clock of the machine",
    ),
    "list-order": Deviation(
        reason="Tubes are listed in the order in which they came. In the original, the last takes"
        " the place of the one that goes.",
    ),
    "quoted-strings": Deviation(
        reason="Names are strings to every reader of YAML, also `1e3` or `null`: quoted as in"
        " beanstalkd 1.13, not bare as in 1.12.",
        translate=_quoted,
    ),
    "reserve-with-timeout-numbers": Deviation(
        reason="A timeout is a number of 31 bits without a sign, as in beanstalkd 1.13. 1.12 takes"
        " what is none for 0, what is negative for never, and cuts what is too large.",
        triggered_by=_has_odd_timeout,
    ),
    "stats-extra-keys": Deviation(
        reason="stats has the keys of the original, and more behind them.",
        translate=_with_more,
    ),
    "version": Deviation(
        reason="Clients read from the version what the server can do: all that 1.13 can.",
        translate=_versioned,
    ),
    "release-order-on-disconnect": Deviation(
        reason="When a connection goes, the best of its jobs goes to who waits, not the one it"
        " happened to reserve first.",
    ),
    "pauses-end-in-order": Deviation(
        reason="However late the daemon gets to it, what was due earlier happens first, so a server"
        " that was busy does what a punctual one does. The original ends all pauses that are due"
        " before it serves anybody.",
    ),
}


def translated(lines: Iterable[str]) -> list[str]:
    """What stalkd should say where beanstalkd says ``lines``."""
    result = list(lines)
    for deviation in DEVIATIONS.values():
        if deviation.translate is not None:
            result = [new for line in result for new in deviation.translate(line)]
    return result


def deviates(data: bytes) -> bool:
    """Whether sending these bytes makes the two servers behave differently by intent."""
    triggers = (deviation.triggered_by for deviation in DEVIATIONS.values())
    return any(triggered(data) for triggered in triggers if triggered is not None)


_VOLATILE = re.compile(
    r"< OK (?=\d)"
    r"|\| (?:age|pid|version|rusage-[us]time|uptime|id(?=: .{16}$)|hostname|os|platform): "
)
_TIME_LEFT = re.compile(r"(\| (?:pause-)?time-left: )([1-9]\d*)")
_SLOWNESS = 5
"""Seconds that a conversation may take longer another time."""


def masked(text: str) -> str:
    """A line that was heard, with wildcards for what is another value each time."""
    if volatile := _VOLATILE.match(text):
        return volatile[0] + "*"
    if left := _TIME_LEFT.match(text):
        seconds = int(left[2])
        return f"{left[1]}<{max(seconds - _SLOWNESS, 0)}..{seconds + 1}>"
    return text
