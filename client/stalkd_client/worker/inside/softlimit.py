"""The soft time limit: an exception in a handler that takes too long."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

from stalkd_client.worker.inside.ways import Limit
from stalkd_client.worker.task import SoftTimeLimitError


def in_main_thread(seconds: float | None) -> Limit:
    """Return a limit for handlers in the main thread: a signal interrupts system calls, too."""
    if seconds is None:
        return nullcontext

    def too_long(_number: int, _frame: FrameType | None) -> None:
        raise SoftTimeLimitError(f"the handler has taken {seconds} s")

    signal.signal(signal.SIGALRM, too_long)

    @contextmanager
    def limit() -> Iterator[None]:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    return limit


def in_thread(seconds: float | None) -> Limit:
    """Return a limit for handlers in other threads: it is noticed between two bytecodes."""
    return nullcontext if seconds is None else lambda: _limit_thread(seconds)


@contextmanager
def _limit_thread(seconds: float) -> Iterator[None]:
    """Raise in this thread, but never after the block: a lock decides who is first."""
    thread, lock, is_over = threading.get_ident(), threading.Lock(), False

    def interrupt() -> None:
        with lock:
            if not is_over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(SoftTimeLimitError)
                )

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            is_over = True
        timer.cancel()
