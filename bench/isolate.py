"""Runs one function in a fresh process on a core of its own."""

import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

from bench.meters import pin

P = ParamSpec("P")
R = TypeVar("R")


def in_own_process(core: int, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The result of `work`, done by a new interpreter pinned to `core`.

    It starts empty (spawn), so that one measurement leaves nothing behind for the next.
    """
    context = get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_settle, initargs=(core,)) as pool:
        return pool.submit(work, *args, **kwargs).result()


def _settle(core: int) -> None:
    pin(core)
    gc.disable()  # a collection here would be counted as a slow reply of the server
