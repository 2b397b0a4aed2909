"""Telling a bug in one session's handling from a broken broker."""

from __future__ import annotations

import traceback

BROKER: str = "stalkd.broker"


class LogError(Exception):
    """The log cannot be used; the text says what happened, where, and what to do."""


class LogLostError(Exception):
    """The daemon has stopped, and what it did last is not in its log; the text says why."""


def is_broken_invariant(error: BaseException) -> bool:
    """Tell whether an error passed through the broker.

    The broker refuses a client's mistakes by what it returns. So an exception out of it is a bug
    that may have left a job half moved, and going on could lose or double it. An exception that
    never touched it concerns one session only.
    """
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_globals.get("__name__", "").startswith(BROKER) for frame in frames)
