"""Why code of users cannot be run: a reason, and that part of a traceback which is about it."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Final

from stalkd_client.worker.inside.handlers import BadHandlerError

OURS: Final = ("stalkd_client", "importlib", "runpy", "_frozen_importlib")
"""The packages of those frames that come before the ones of users."""


def reason_of(error: BaseException) -> str:
    """Return what is wrong, in a line."""
    if isinstance(error, BadHandlerError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def traceback_of(error: BaseException) -> str:
    """Return the traceback from the first frame of users' code on; nothing if there is none.

    A syntax error has no frame, but tells where it is.
    """
    trace = error.__traceback__
    while trace is not None and _is_ours(trace):
        trace = trace.tb_next
    if trace is None and not isinstance(error, SyntaxError):
        return ""
    return "".join(traceback.format_exception(type(error), error, trace))


def _is_ours(trace: TracebackType) -> bool:
    name = str(trace.tb_frame.f_globals.get("__name__"))
    return name == "__main__" or name.partition(".")[0] in OURS
