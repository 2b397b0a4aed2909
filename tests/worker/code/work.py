"""Handlers that tests run in real workers."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trio
from stalkd_client import task
from stalkd_client.worker import CurrentJob, Retry, handler


@handler(queue="declared", output=["declared.out"], retry_on=ValueError, max_retries=1)
def declares(message: Any) -> Any:
    if message == "bad":
        raise ValueError(message)
    return message


def double(message: int) -> int:
    return message * 2


@handler(queue="declared", output="declared.out", on_error={ValueError: "declared.bad"})
def declares_errors(message: Any) -> Any:
    return declares(message)


@handler(codec="pickle")
def pickles(message: Any) -> Any:
    return message


def prints(message: Any) -> Any:
    sys.stdout.write(f"seen {message}\n")
    sys.stdout.flush()
    return message


def nothing(message: Any) -> None:
    return None


def split(message: str) -> Iterator[str | None]:
    yield from message.split()
    yield None


def boom(message: Any) -> None:
    raise ValueError(f"cannot do {message}")


def leave(message: Any) -> None:
    os._exit(7)


def crash(message: Any) -> None:
    ctypes.string_at(0)


def kill_me(message: Any) -> None:
    os.kill(os.getpid(), 9)


def fork_and_leave(message: Any) -> None:
    """Die, and leave somebody who holds all that was inherited."""
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(7)


def bad_retry(message: Any) -> None:
    raise Retry(delay=message)


def leave_orphans(message: str) -> int:
    """Start a process whose parent ends; or count those that have ended and are not seen off."""
    if message == "make":
        subprocess.run(["sh", "-c", "sleep 0.2 & exit 0"], check=True)
    stats = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat")]
    return sum(stat.rpartition(")")[2].split()[0] == "Z" for stat in stats)


def shut(message: Any) -> None:
    raise SystemExit(3)


def note(message: list[Any]) -> Any:
    """[file, text, what to do then]: each attempt leaves a line."""
    path, text, then = message
    with Path(path).open("a") as file:
        file.write(f"{text}\n")
    return {"leave": leave, "crash": crash, "kill": kill_me, "boom": boom, "": double}[then](text)


def sleep(message: float) -> float:
    time.sleep(message)
    return message


def hold_gil(message: int) -> str:
    """A regular expression that takes ages, in one call of C code."""
    re.match(r"(a+)+$", "a" * message + "b")
    return "held"


def wait_for_file(message: list[str]) -> str:
    """[begun, go]: make one file, wait for the other."""
    begun, go = map(Path, message)
    begun.write_text(str(os.getpid()))
    while not go.exists():
        time.sleep(0.005)
    return "went"


def quick_or_wait(message: Any) -> Any:
    return wait_for_file(message) if isinstance(message, list) else message


def retry(message: Any) -> None:
    raise Retry(delay=0, max_retries=2)


class Oddity(Exception):
    pass


def retry_from(message: Any) -> None:
    raise Retry(delay=0, max_retries=1) from ValueError(message)


def retry_lowered(message: Any, cur_retry: int) -> None:
    """A limit that is lowered on the way."""
    raise Retry(delay=0, max_retries=5 if cur_retry == 0 else 1)


def told(message: Any, cur_retry: int, max_retries: int, job: CurrentJob) -> dict[str, Any]:
    if cur_retry == 0:
        raise KeyError(message)
    return {"retry": cur_retry, "most": max_retries, "attempt": job.attempt, "queue": job.queue}


def over_limit(message: float, job: CurrentJob) -> str:
    job.extend(message + 20)
    time.sleep(message)
    return "extended"


async def later(message: int) -> int:
    await asyncio.sleep(0.2)
    return message + 1


async def trio_later(message: int) -> int:
    await trio.sleep(0.2)
    return message + 1


async def async_forever(message: Any) -> None:
    await asyncio.sleep(100)


class Stateful:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def pre_handling(self) -> None:
        self.seen.append("pre")

    def message_handler(self, message: Any) -> list[Any]:
        if isinstance(message, dict):
            self.path = Path(message["end"])
        self.seen.append(message)
        return self.seen

    def post_handling(self) -> None:
        self.path.write_text("post")


class BadStart(Stateful):
    def pre_handling(self) -> None:
        raise RuntimeError("no database today")


@task(result=True)
def add(a: int, b: int) -> int:
    return a + b


@task(result=True)
def fail(message: str) -> None:
    raise LookupError(message)


def busy(message: float) -> str:
    """One call after the other that holds the GIL for most of a second."""
    ends = time.monotonic() + message
    size = 20
    while time.monotonic() < ends:
        began = time.monotonic()
        re.match(r"(a+)+$", "a" * size + "b")
        if time.monotonic() - began < 0.3:
            size += 1
    return "done"


def naps(message: float) -> None:
    for _ in range(int(message * 100)):
        time.sleep(0.01)


def pid(message: Any) -> int:
    return os.getpid()


async def cancelled(message: Any) -> None:
    """Await something that somebody else has cancelled."""
    task = asyncio.ensure_future(asyncio.sleep(10))
    task.cancel()
    await task


async def async_shut(message: Any) -> None:
    raise SystemExit(3)


class Odd(BaseException):
    """Nothing that one expects of a handler."""


ODD = {"odd": Odd, "interrupt": KeyboardInterrupt, "exit": SystemExit, "closed": GeneratorExit}


def raises_odd(message: str) -> str:
    if message in ODD:
        raise ODD[message](message)
    return message


async def async_raises_odd(message: str) -> str:
    return raises_odd(message)


class NoHandler:
    def handle(self, message: Any) -> None:
        return


class TakesNothing:
    def message_handler(self) -> None:
        return


def takes_nothing() -> None:
    return


def takes_two(message: Any, more: Any) -> None:
    return


def split_twice(message: str) -> list[str] | None:
    words = message.split()
    return words if len(words) > 1 else None
