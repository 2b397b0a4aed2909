"""A job as a line of JSON: with the server's own keys, and its body exactly.

``body`` is the body as text if it is UTF-8, else there is ``body_base64``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from stalkd_client import requests
from stalkd_client.arguments import check_key, check_numbers, check_tube
from stalkd_client.exchange import Request
from stalkd_client.requests import DEFAULT_PRIORITY, DEFAULT_TTR

EXPORTED: Final = (
    *("id", "tube", "state", "pri", "age", "ttr", "time-left", "reserves", "key", "expires-in"),
    *("attempts", "dead", "died", "died-in", "died-because"),
)
"""Keys of list-jobs that an exported job has, as far as it has them."""

MOVED: Final = "stalk-mv:"
"""Keys of copies that ``stalk mv`` has made begin so; they are not carried any further."""

COPIED: Final = "stalk-cp:"
"""The same of ``stalk cp``."""

RESTORED: Final = frozenset({"ready", "delayed", "buried"})
"""States that an imported job can be brought into; others become ready."""


def body_of(body: bytes) -> dict[str, str]:
    """Return a body as the part of a record."""
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode("ascii")}


def record(told: dict[str, Any], tube: str, body: bytes) -> dict[str, Any]:
    """Return a job's record."""
    known = {"tube": tube, **told}
    return {**{key: known[key] for key in EXPORTED if key in known}, **body_of(body)}


@dataclass(frozen=True, slots=True)
class Freight:
    """A job on its way to a server: all that a put can say of it, and its state."""

    body: bytes
    tube: str
    state: str = "ready"
    priority: int = DEFAULT_PRIORITY
    ttr: float = DEFAULT_TTR
    delay: float = 0.0
    key: str | None = None
    ttl: float | None = None
    attempts: int | None = None
    dead: str | None = None

    def as_ready(self) -> Freight:
        """Return the same job, ready."""
        return replace(self, state="ready", delay=0.0)

    def put(self, *, delay: float | None = None, key: str | None = None) -> Request[int]:
        """Return the command that puts it into the tube in use."""
        return requests.put(
            self.body,
            priority=self.priority,
            delay=self.delay if delay is None else delay,
            ttr=self.ttr,
            key=key or self.key,
            ttl=self.ttl,
            attempts=self.attempts,
            dead=self.dead,
        )


def freight_of(told: dict[str, Any], tube: str, body: bytes) -> Freight:
    """Return a job, as list-jobs has it, on its way to a tube; a reserved one will be ready."""
    state, key = str(told["state"]), told.get("key")
    return Freight(
        body=body,
        tube=tube,
        state="ready" if state == "reserved" else state,
        priority=int(told["pri"]),
        ttr=float(told["ttr"]),
        delay=float(told["time-left"]) if state == "delayed" else 0.0,
        key=None if key is not None and key.startswith((MOVED, COPIED)) else key,
        ttl=told.get("expires-in"),
        attempts=told.get("attempts"),
        dead=told.get("dead"),
    )


class RecordError(ValueError):
    """A line is no record of a job."""


def parse(line: bytes, tube: str | None) -> Freight:
    """Read a record; ``tube`` stands for its own. Raises RecordError."""
    try:
        found = json.loads(line)
        if isinstance(found, dict):
            return _freight(found, tube)
    except (ValueError, RecursionError) as error:
        raise RecordError(str(error)) from None
    raise RecordError("it is no JSON object")


def _freight(found: dict[str, Any], tube: str | None) -> Freight:
    state = _field(found, "state", str, "ready")
    check_numbers(
        pri=_field(found, "pri", int, DEFAULT_PRIORITY),
        ttr=_field(found, "ttr", float, DEFAULT_TTR),
        time_left=_field(found, "time-left", float, 0.0),
    )
    target = tube or _field(found, "tube", str, "")
    if not target:
        raise RecordError("it names no tube: say --tube")
    check_tube(target)
    return Freight(
        body=_body(found),
        tube=target,
        state=state if state in RESTORED else "ready",
        priority=_field(found, "pri", int, DEFAULT_PRIORITY),
        ttr=_field(found, "ttr", float, DEFAULT_TTR),
        delay=_field(found, "time-left", float, 0.0) if state == "delayed" else 0.0,
        key=_checked(_field(found, "key", str, None), check_key),
        ttl=_field(found, "expires-in", float, None),
        attempts=_field(found, "attempts", int, None),
        dead=_checked(_field(found, "dead", str, None), check_tube),
    )


def _checked(value: str | None, check: Callable[[str], bytes]) -> str | None:
    if value is not None:
        check(value)
    return value


def _field(found: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    value = found.get(key)
    if value is None:
        return default
    kinds = (int, float) if kind is float else (kind,)
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise RecordError(f"its {key} is {value!r}")
    return value


def _body(found: dict[str, Any]) -> bytes:
    text, coded = found.get("body"), found.get("body_base64")
    if isinstance(text, str) and coded is None:
        return text.encode()
    if isinstance(coded, str) and text is None:
        try:
            return base64.b64decode(coded, validate=True)
        except binascii.Error:
            raise RecordError("its body_base64 is no base64") from None
    raise RecordError("it needs either a body, which is text, or a body_base64")
