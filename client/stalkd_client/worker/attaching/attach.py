"""``Queue.attach``: a worker in the background, for as long as the program runs."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Final, Self

from stalkd_client.tubes import Tube
from stalkd_client.worker.feeding import let_go, start
from stalkd_client.worker.nesting import check_is_program
from stalkd_client.worker.stages import Pipeline, Stage

LOGGER: Final = "stalkd_client.worker"
"""The name of the logger that gets the worker's lines."""

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

GRACE_S: Final = 30.0
"""How long jobs may take to finish if ``grace`` is not given: that of the command."""

AFTER_GRACE_S: Final = 5.0
"""After that time the worker has given all back; if it is still there then, it hangs."""

TAKEN: Final = {
    "queue": "it is the queue that is attached to",
    "handler": "it is the first argument",
    "exec": "it has a function; a Stage may have a program",
    "output": "it is called output_queues",
}
"""Options that are said in another way."""

Outputs = str | Tube | Iterable[str | Tube]


class AttachError(RuntimeError):
    """The worker could not begin; the text has its reason, and the traceback of the handler."""


def attach(
    place: Mapping[str, Any],
    function: Callable[..., Any] | str,
    *,
    output_queues: Outputs = (),
    iter_output: bool = False,
    processes: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Attachment:
    """Run a handler over a queue, and return when it works: see ``Queue.attach``.

    ``place`` and ``processes`` are the options that say where, and how many.
    """
    check_is_program()
    for name, why in TAKEN.items():
        if name in options:
            raise ValueError(f"attach has no option {name}: {why}")
    outputs = [output_queues] if isinstance(output_queues, str | Tube) else list(output_queues)
    stage = Stage(
        function, queue=place["queue"], output=outputs or None, iter_output=iter_output or None
    )
    common = {name: value for name, value in place.items() if name != "queue"}
    if not {"processes", "autoscale"} & set(options):
        common |= processes
    pipeline = Pipeline(stage, **{**common, **options})
    grace = float(options.get("grace", GRACE_S))
    return Attachment(f"{stage.members()['handler']} of {place['queue']}", pipeline, grace)


def process_options(readers_per_job: int, max_parallel_jobs: int) -> dict[str, Any]:
    """Return how many processes there are: one job's always, those of the others on demand.

    Raises ValueError.
    """
    for name, number in (
        ("readers_per_job", readers_per_job),
        ("max_parallel_jobs", max_parallel_jobs),
    ):
        if number < 1:
            raise ValueError(f"{name} is {number}: at least 1 is needed, .stop() ends all of them")
    total = readers_per_job * max_parallel_jobs
    if max_parallel_jobs == 1:
        return {"processes": total}
    return {"autoscale": f"{readers_per_job}..{total}"}


class Attachment:
    """A worker in the background. As a context manager it stops the worker at the end."""

    def __init__(self, name: str, pipeline: Pipeline, grace: float) -> None:
        """Start it, and wait until it works. Raises AttachError; ValueError for a bad option."""
        self._name = name
        self._grace = grace
        self._began = SimpleQueue[Exception | None]()
        ours, theirs = os.pipe()
        try:
            self._process = start(pipeline.members(), "attach", theirs)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        threading.Thread(target=_Hearing(self._process, ours, self._began).run, daemon=True).start()
        try:
            error = self._began.get()
        except BaseException:  # Ctrl-C: nobody would know of it.
            self._process.kill()
            raise
        if error is not None:
            self._process.wait()
            raise error

    def __repr__(self) -> str:
        code = self._process.poll()
        state = f"process {self.pid}" if code is None else f"ended with {code}"
        return f"<Attachment {self._name}, {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The worker's number; its processes have others."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the worker has not ended."""
        return self._process.poll() is None

    def stop(self, timeout: float | None = None) -> int:
        """Let jobs that run finish, and return the exit code, as ``stalk-worker`` has it.

        After so many seconds the worker is killed, if None some after those of ``grace``; then the
        code is -9, and the server has the jobs again.
        """
        let_go(self._process)  # A signal would be the second one for those who sent one before.
        try:
            return self.wait(self._grace + AFTER_GRACE_S if timeout is None else timeout)
        except TimeoutError:
            self._process.kill()
            return self.wait()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the worker's end; return its exit code.

        Raises TimeoutError if it goes on after so many seconds.
        """
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self._name} was still running after {timeout:g} s") from None


def _let_go_of_log(reference: weakref.ref[_Hearing]) -> None:
    hearing = reference()
    if hearing is not None:
        hearing.let_go_of_log()


class _Hearing:
    """Reads what a worker says, and passes it on; it also keeps the process object alive."""

    def __init__(
        self, process: subprocess.Popen[bytes], log: int, began: SimpleQueue[Exception | None]
    ) -> None:
        self._process = process
        self._log: int | None = log
        self._began = began
        self._has_begun = False
        self._said: list[str] = []
        self._refusal = ""
        self._logger = logging.getLogger(LOGGER)
        # What this program forks reads nothing. With a reader left, the worker would wait for it.
        os.register_at_fork(after_in_child=partial(_let_go_of_log, weakref.ref(self)))
        self._lines = open(log, encoding="utf-8", errors="replace")  # noqa: SIM115 - the thread does that

    def let_go_of_log(self) -> None:
        """Have nothing instead of it, under the same number: something here will close that."""
        if self._log is not None:
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, self._log, inheritable=False)
            os.close(nothing)

    def run(self) -> None:
        """Read to the end."""
        with self._lines:
            for line in self._lines:
                self._hear(line.rstrip("\n"))
            self._log = None  # Soon the number will be somebody else's.
        code = self._process.wait()
        let_go(self._process)
        if not self._has_begun:
            self._began.put(self._error(code))

    def _hear(self, line: str) -> None:
        try:
            told = json.loads(line)
            level, event = LEVELS[told.pop("level")], str(told.pop("event"))
        except (ValueError, LookupError, TypeError, AttributeError):
            level, event, told = logging.ERROR, line, {}  # Part of a traceback.
        told.pop("time", None)
        if event == "working" and not self._has_begun:
            self._has_begun = True
            self._began.put(None)
        if event == "refused" and not self._has_begun:
            self._refusal = str(told["reason"])
        text = event + "".join(f" {key}={value}" for key, value in told.items())
        if self._has_begun:
            self._logger.log(level, "%s", text)
        elif level >= logging.WARNING:
            self._said.append(text)

    def _error(self, code: int) -> Exception:
        if self._refusal:
            return ValueError(self._refusal)
        said = "\n".join(self._said) or "it said nothing"
        return AttachError(f"the worker ended with exit code {code} before it could begin: {said}")
