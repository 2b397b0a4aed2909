"""The body of a task's job: which function, with which arguments, and where the reply goes.

stalkd-jobs(7) describes it for other languages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stalkd_client import codecs
from stalkd_client.arguments import check_tube
from stalkd_client.codecs import Codec
from stalkd_client.tasks.errors import BadArgumentsError, BadEnvelopeError

RESULT_TTL_S: Final = 3600.0
"""How long a reply waits for its reader: enough for a human, and abandoned ones do not pile up."""

SHOWN: Final = 80
"""Bytes of a bad body that are shown: enough to recognize it."""

# Not the codec of Queue: that one writes NaN, which is no JSON to most other languages.
_write: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

JSON: Final = Codec("json", lambda value: _write(value).encode(), json.loads)


def find_codec(name: str, *, trusted: bool) -> Codec:
    """Return ``json``, or ``pickle`` if ``trusted``. Raises ValueError."""
    if name == "json":
        return JSON
    codec = codecs.find(name, trusted=trusted)
    if name != "pickle":
        raise ValueError(f"codec {name!r} cannot hold a task: json or pickle can")
    return codec


@dataclass(frozen=True, slots=True)
class Envelope:
    """A call of a task. ``reply`` is the tube for the reply, None if nobody wants one."""

    task: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    reply: str | None = None
    reply_ttl: float = RESULT_TTL_S

    def encode(self, codec: Codec = JSON) -> bytes:
        """Return the body. Raises BadArgumentsError."""
        members: dict[str, Any] = {"task": self.task, "args": self.args, "kwargs": self.kwargs}
        if self.reply is not None:
            members |= {"reply": self.reply, "reply_ttl": self.reply_ttl}
        try:
            return codec.dumps(members)
        except Exception as error:  # A value's own code may raise anything.
            raise BadArgumentsError(f"{self.task}: {because(codec, error)}") from error

    @classmethod
    def decode(cls, body: bytes, codec: Codec = JSON) -> Envelope:
        """Read a body; members that are not known are ignored. Raises BadEnvelopeError."""
        try:
            members = codec.loads(body)
        except Exception as error:  # A pickle may raise anything, and a deep JSON RecursionError.
            raise BadEnvelopeError(
                f"the body is no {codec.name}: {shown(body)}: {error}"
            ) from error
        if not isinstance(members, dict) or "task" not in members:
            raise BadEnvelopeError(f'the body has no "task": {shown(body)}')
        args, kwargs = members.get("args", ()), members.get("kwargs", {})
        _expect("task", members["task"], str)
        _expect("args", args, list, tuple)
        _expect("kwargs", kwargs, dict)
        if not all(isinstance(name, str) for name in kwargs):
            raise BadEnvelopeError('"kwargs" has a name that is no text')
        return cls(members["task"], tuple(args), kwargs, *_reply_of(members))


def _reply_of(members: Mapping[str, Any]) -> tuple[str | None, float]:
    reply, ttl = members.get("reply"), members.get("reply_ttl", RESULT_TTL_S)
    if reply is not None:
        _expect("reply", reply, str)
        try:
            check_tube(reply)
        except ValueError as error:
            raise BadEnvelopeError(f'"reply": {error}') from None
    _expect("reply_ttl", ttl, int, float)
    return reply, ttl


def _expect(name: str, value: object, *kinds: type) -> None:
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise BadEnvelopeError(f'"{name}" is a {type(value).__name__}, not a {kinds[0].__name__}')


def because(codec: Codec, error: Exception) -> str:
    """Say why something has no body."""
    return f"cannot be written as {codec.name}: {error}"


def shown(value: object) -> str:
    """Show the beginning of a value; its ``repr`` may be faulty, too."""
    try:
        text = repr(value[:SHOWN] if isinstance(value, bytes) else value)
    except Exception:  # noqa: BLE001 - it is the user's
        text = f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
