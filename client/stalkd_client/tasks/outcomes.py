"""How a call ended, and the reply that tells it to whoever waits.

stalkd-jobs(7) describes the reply for other languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal

from stalkd_client.codecs import Codec
from stalkd_client.tasks.envelope import JSON
from stalkd_client.tasks.errors import BadResultError

Status = Literal["done", "failed", "dead", "gone"]
"""``done`` and ``failed``: a worker said so. ``dead``: no attempt is left, or it was buried.
``gone``: the job is there no more, and nobody told why."""

MESSAGE_CHARACTERS: Final = 2_000
"""Of an exception's text. Some carry whole documents, and a reply is a job: with its default
limit of 65,535 bytes a server must take it, however many bytes a character has."""

TRACEBACK_CHARACTERS: Final = 8_000
"""... of its traceback: the end is kept, where the exception was raised."""


HERE: Final = (f"{__package__}.", "stalkd_client.worker.")
"""Where those frames of a traceback belong that come before those of the task."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task.

    ``value`` is what it returned; ``type``, ``message`` and ``traceback`` describe its exception.
    """

    status: Status
    value: Any = None
    type: str = ""
    message: str = ""
    traceback: str = ""


def failed(error: BaseException, status: Literal["failed", "dead"] = "failed") -> Outcome:
    """Return the outcome of a call that raised."""
    import traceback  # noqa: PLC0415 - who only pushes has no use for it

    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else _dotted(kind)
    text = _text(_message(error))[:MESSAGE_CHARACTERS]
    lines = _text("".join(traceback.format_exception(kind, error, _trace_of(error))))
    return Outcome(status, None, name, text, lines[-TRACEBACK_CHARACTERS:])


def _trace_of(error: BaseException) -> TracebackType | None:
    """Return the traceback from the task's function on: how it was called is no news."""
    trace = error.__traceback__
    while trace is not None and _module_of(trace).startswith(HERE):
        trace = trace.tb_next
    return trace


def _module_of(trace: TracebackType) -> str:
    return str(trace.tb_frame.f_globals.get("__name__"))


def _dotted(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - it is the user's
        return "(its text cannot be had)"


def _text(text: str) -> str:
    """Return what UTF-8 can hold: a file's name in a message may not be."""
    return text.encode("utf-8", "backslashreplace").decode()


def encode(job_id: int, task: str, outcome: Outcome, codec: Codec = JSON) -> bytes:
    """Return the body of a reply. A value that cannot be written makes it one of failure."""
    try:
        return codec.dumps(_members(job_id, outcome))
    except Exception as error:  # noqa: BLE001 - a value's own code may raise anything
        reason = BadResultError(
            f"what {task} returned, of type {type(outcome.value).__name__}, cannot be written as"
            f" {codec.name}: {error}"
        )
        return codec.dumps(_members(job_id, failed(reason)))


def _members(job_id: int, outcome: Outcome) -> dict[str, Any]:
    members: dict[str, Any] = {"id": job_id, "status": outcome.status}
    if outcome.status == "done":
        return members | {"value": outcome.value}
    error = {
        "type": outcome.type,
        "message": outcome.message,
        "traceback": outcome.traceback,
    }
    return members | {"error": error}


def decode(body: bytes, codec: Codec = JSON) -> Outcome:
    """Read a reply; what is no reply, or of a status nobody knows, is a failure that says so."""
    try:
        members = codec.loads(body)
        status = members["status"]
        if status == "done":
            return Outcome("done", members.get("value"))
        if status in {"failed", "dead"}:
            return Outcome(status, None, *_error_of(members.get("error")))
    except Exception as error:  # noqa: BLE001 - a pickle may raise anything
        return failed(BadResultError(f"the reply cannot be read: {error!r}: {body[:200]!r}"))
    return failed(BadResultError(f"the reply has an unknown status: {body[:200]!r}"))


def _error_of(error: object) -> tuple[str, str, str]:
    """Read what a worker tells of an error; one in another language may tell less."""
    if not isinstance(error, Mapping):
        return "", "" if error is None else str(error), ""
    kind, message, trace = (error.get(key, "") for key in ("type", "message", "traceback"))
    return str(kind), str(message), str(trace)
