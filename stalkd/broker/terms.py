"""What a producer asked for beyond a plain put, and what came of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from stalkd.broker.limits import NEVER

TERMS_COST: Final = 320
"""Bytes that a job's terms take besides their words, with their share of the containers."""


class Reason(StrEnum):
    """How the last lease of a dead job ended; the value is the word used in ``explain-job``."""

    RELEASED = "released"
    TIMED_OUT = "timed out"
    DISCONNECTED = "disconnected"
    RESTARTED = "restarted"
    TAKEN_BACK = "taken back"


class Death(NamedTuple):
    """When a job's attempts were used up, in nanoseconds, how, and in which tube."""

    when: int
    reason: Reason
    origin: str


class Terms:
    """What holds for one job, besides what holds for all.

    ``lease`` is its time-to-run in nanoseconds. ``expires`` is when it expires unless it is
    deleted before, in nanoseconds, or NEVER. ``key`` is what is unique in its tube, "" if nothing.
    ``attempts`` is how many reserves it is allowed, 0 if the tube's policy decides; they count from
    the ``base``-th on. ``dead`` is the tube for it then, "" if the policy decides. ``death`` is
    None as long as it has not come to that.
    """

    __slots__ = ("attempts", "base", "dead", "death", "expires", "key", "lease")

    def __init__(self, lease: int) -> None:
        """Ask for nothing beyond a plain put with this time-to-run."""
        self.lease = lease
        self.expires = NEVER
        self.key = ""
        self.attempts = 0
        self.base = 0
        self.dead = ""
        self.death: Death | None = None

    def cost(self) -> int:
        """Return the bytes of memory that these terms take."""
        return TERMS_COST + len(self.key) + len(self.dead)
