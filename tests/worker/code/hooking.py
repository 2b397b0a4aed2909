"""Hooks that tests have called around jobs. They leave their notes in the file NOTES."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio
from stalkd_client import task
from stalkd_client.worker import CurrentJob, JobContext, Middleware, Retry, handler


def say(*words: Any) -> None:
    with Path(os.environ["NOTES"]).open("a") as file:
        file.write(json.dumps(words) + "\n")


def tell(when: str, context: JobContext) -> None:
    """Leave all that there is to know."""
    raised = context.exception and type(context.exception).__name__
    about = [context.queue, context.id, context.task, list(context.args), context.kwargs]
    say(when, *about, context.attempt, context.status, raised, context.duration > 0)


def before(context: JobContext) -> None:
    tell("before", context)


def after(context: JobContext) -> None:
    tell("after", context)


def first(context: JobContext) -> None:
    say("first")


def second(context: JobContext) -> None:
    say("second")


class Outer:
    def before(self, context: JobContext) -> None:
        context.state["opened"] = [context.id, threading.get_ident()]
        say("open outer")

    def after(self, context: JobContext) -> None:
        # The span that was opened is this job's, in this thread.
        assert context.state["opened"] == [context.id, threading.get_ident()]
        say("close outer")


class Inner(Middleware):
    def before(self, context: JobContext) -> None:
        say("open inner")

    def after(self, context: JobContext) -> None:
        say("close inner")


class Counts(Middleware):
    """Knows in which process it is, and how many jobs that has done."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.jobs = 0

    def after(self, context: JobContext) -> None:
        assert self.pid == os.getpid()
        self.jobs += 1
        say("counted", self.pid, self.jobs)


class AsyncSpan:
    async def before(self, context: JobContext) -> None:
        await nap()
        say("open", context.id)

    async def after(self, context: JobContext) -> None:
        await nap()
        say("close", context.id, context.status)


async def nap() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        await trio.lowlevel.checkpoint()
    else:
        await asyncio.sleep(0)


class Nothing:
    pass


class NoDatabase(Middleware):
    def __init__(self) -> None:
        raise RuntimeError("no database today")


class Stop(BaseException):
    """What no code expects."""


def fail(context: JobContext) -> None:
    raise LookupError("no tracer")


def leave(context: JobContext) -> None:
    raise SystemExit(3)


def stop(context: JobContext) -> None:
    raise Stop


def interrupt(context: JobContext) -> None:
    raise KeyboardInterrupt


async def async_fail(context: JobContext) -> None:
    await nap()
    raise LookupError("no tracer")


async def async_before(context: JobContext) -> None:
    await nap()
    tell("before", context)


def gives_awaitable(context: JobContext) -> Any:
    return nap()


def slow(context: JobContext) -> None:
    """Take far longer than the soft time limit of the test."""
    time.sleep(0.5)
    say("slow was left alone")


WHAT: dict[str, Callable[[], Any]] = {
    "retry": lambda: Retry(delay=0),
    "move": lambda: LookupError("nothing"),
    "bury": lambda: ValueError("bad"),
    "exit": lambda: SystemExit(3),
}


def handle(message: Any, cur_retry: int) -> Any:
    """Raise as it is told, the first time."""
    if message in WHAT and not (message == "retry" and cur_retry):
        error = WHAT[message]()
        raise error
    return message


async def handle_async(message: Any, cur_retry: int) -> Any:
    await nap()
    return handle(message, cur_retry)


@handler(queue="hooked", before=[first, before], after=after, middleware=[Outer, Inner])
def declares(message: Any) -> Any:
    say("handled")
    return message


@task
def add(a: int, b: int, job: CurrentJob) -> int:
    return a + b


def leave_process(message: Any) -> None:
    os._exit(7)
