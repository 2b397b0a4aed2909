"""The process that runs handlers: ``python -P -m stalkd_client.worker.inside.child FD FD FD ...``.

It has no connection to any server, and knows nothing of leases. Its first descriptor is for its
life and for what is said at the start; then come two for each slot.
"""

from __future__ import annotations

import ctypes
import faulthandler
import inspect
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NoReturn

from stalkd_client import codecs
from stalkd_client.codecs import Codec
from stalkd_client.tasks import envelope
from stalkd_client.worker import packets
from stalkd_client.worker.declaring import Declared, check_trust
from stalkd_client.worker.inside import executors, hooks
from stalkd_client.worker.inside.blame import reason_of, traceback_of
from stalkd_client.worker.inside.command import Command, Lines
from stalkd_client.worker.inside.executors import Ends
from stalkd_client.worker.inside.files import prepare
from stalkd_client.worker.inside.handlers import BadHandlerError, Handler, find, find_error
from stalkd_client.worker.inside.running import Runner
from stalkd_client.worker.messages import Ready, Refused, Setup
from stalkd_client.worker.retrying import Route

PR_SET_PDEATHSIG: Final = 1
"""Of Linux's prctl: which signal comes when the parent is gone."""

EXIT_ORPHANED: Final = 4
"""The exit code when the supervisor is gone; nobody sees it but a debugger."""


def main(descriptors: Sequence[str]) -> None:
    """Be the child: get told what to do, load it, and work until all slots are closed."""
    faulthandler.enable()  # A crash in C code tells where it was, on stderr.
    signal.signal(signal.SIGINT, _ignore)
    signal.signal(signal.SIGTERM, _ignore)
    life, *ends = [socket.socket(fileno=int(each)) for each in descriptors]
    for each in (life, *ends):
        each.set_inheritable(False)
    setup = Setup(*(packets.receive(life) or ()))
    if not setup.command:
        _die_with_parent()
    watch = threading.Thread(target=partial(_watch, life), daemon=True)
    watch.start()
    slots = [Ends(jobs, results) for jobs, results in zip(ends[::2], ends[1::2], strict=True)]
    handler, runner = _prepare(setup, life)
    if handler.is_async:
        _serve_async(setup, handler, runner, slots, life)
    else:
        _serve(setup, handler, runner, slots, life)


def _prepare(setup: Setup, life: socket.socket) -> tuple[Handler, Runner]:
    try:
        prepare(setup.directory, setup.handler)
        handler = _load(setup)
        return handler, _runner(setup, handler)
    except BaseException as error:  # noqa: BLE001 - also SystemExit of a script that was named
        _refuse(life, error)


def _ignore(number: int, frame: object) -> None:
    """Leave stopping to the supervisor; programs that are started do not inherit this."""


def _die_with_parent() -> None:
    """Have the system kill this process with the supervisor, also when the GIL is held for ever.

    Not with ``--exec``: there the watching thread is always able to run, and ends the program, too.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _watch(life: socket.socket) -> None:
    """End this process, and those that it started, when the supervisor is gone."""
    while packets.receive(life) is not None:
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(EXIT_ORPHANED)


def _load(setup: Setup) -> Handler:
    """Find the handler; what the command line says goes before what the handler declares."""
    said = Declared(
        output=setup.outputs,
        iter_output=setup.iter_output,
        codec=setup.codec,
        retry_on=tuple(map(find_error, setup.retry_on)),
        retry_delay=setup.retry_delay,
        max_retries=setup.max_retries,
        backoff=setup.backoff,
        max_delay=setup.max_delay,
        on_error={find_error(name): Route(queue, delay) for name, queue, delay in setup.on_error},
        before=tuple(map(hooks.find_hook, setup.before)),
        after=tuple(map(hooks.find_hook, setup.after)),
        middleware=tuple(map(hooks.find_hook, setup.middleware)),
    )
    if setup.command:
        if shutil.which(setup.command[0]) is None:
            raise BadHandlerError(f"there is no program {setup.command[0]}, or it may not be run")
        command = (Lines if setup.iter_output else Command)(setup.command)
        return Handler(command, declared=replace(said, codec="bytes"))
    handler = find(setup.handler)
    handler.declared = handler.declared.but(said)
    return handler


def _runner(setup: Setup, handler: Handler) -> Runner:
    declared = handler.declared
    if declared.iter_output and not declared.output:
        raise BadHandlerError("there is --iter-output, but no --output")
    return Runner(
        handler,
        _codec(setup, handler),
        declared.rules(),
        outputs=bool(declared.output),
        iter_output=bool(declared.iter_output),
        time_limit=setup.time_limit,
        hooks=hooks.make(declared, may_await=handler.is_async),
    )


def _codec(setup: Setup, handler: Handler) -> Codec:
    name = _codec_name(handler)
    check_trust(name, trusted=setup.trusted)
    if handler.tasks:
        return envelope.find_codec(name, trusted=setup.trusted)
    return codecs.find(name, trusted=setup.trusted)


def _codec_name(handler: Handler) -> str:
    return handler.declared.codec or "json"


def _tell_ready(handler: Handler, life: socket.socket) -> None:
    ready = Ready(handler.queues, handler.declared.output, _codec_name(handler))
    packets.send(life, ("Ready", *ready))


def _refuse(life: socket.socket, error: BaseException) -> NoReturn:
    """Say why this cannot be done, and end."""
    packets.send(life, ("Refused", *Refused(reason_of(error), traceback_of(error))))
    os._exit(1)


def _serve(
    setup: Setup, handler: Handler, runner: Runner, slots: Sequence[Ends], life: socket.socket
) -> None:
    """Call what comes before and after all jobs, and work between."""
    try:
        _call(handler.begin)
    except BaseException as error:  # noqa: BLE001 - the supervisor must hear of it
        _refuse(life, error)
    _tell_ready(handler, life)
    executors.run(runner, slots, setup.soft_time_limit)
    _call(handler.end)


def _call(function: Any) -> None:
    if function is not None:
        function()


def _serve_async(
    setup: Setup, handler: Handler, runner: Runner, slots: Sequence[Ends], life: socket.socket
) -> None:
    from stalkd_client.worker.inside.loops import Loop  # noqa: PLC0415 - asyncio takes a while to load

    loop = Loop(setup.backend, runner, setup.soft_time_limit)

    async def work() -> None:
        try:
            await _call_async(handler.begin)
        except Exception as error:  # noqa: BLE001 - the supervisor must hear of it
            _refuse(life, error)
        _tell_ready(handler, life)
        await loop.serve_all(slots)
        await _call_async(handler.end)

    loop.run(work)


async def _call_async(function: Any) -> None:
    if function is not None:
        value = function()
        if inspect.isawaitable(value):
            await value


if __name__ == "__main__":
    main(sys.argv[1:])
