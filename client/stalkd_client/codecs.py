"""How values become bodies, and bodies values again."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Codec:
    """A pair of functions; ``loads`` may raise ValueError."""

    name: str
    dumps: Callable[[Any], bytes]
    loads: Callable[[bytes], Any]


_compact: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _to_json(value: object) -> bytes:
    return _compact(value).encode()


def _to_bytes(value: object) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"codec 'bytes' takes bytes, not {type(value).__name__}")
    return bytes(value)


def _to_text(value: object) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"codec 'text' takes str, not {type(value).__name__}")
    return value.encode()


CODECS: Final = {
    codec.name: codec
    for codec in (
        Codec("json", _to_json, json.loads),
        Codec("bytes", _to_bytes, lambda body: body),
        Codec("text", _to_text, lambda body: body.decode()),
        Codec("pickle", pickle.dumps, pickle.loads),
    )
}


def find(name: str, *, trusted: bool) -> Codec:
    """Return a codec by its name. Raises ValueError.

    Reading a pickle runs whatever its writer liked: so ``pickle`` needs ``trusted``, which says
    that everybody who can put into this queue may run code here.
    """
    codec = CODECS.get(name)
    if codec is None:
        raise ValueError(f"{name!r} is no codec: {', '.join(CODECS)}")
    if name == "pickle" and not trusted:
        raise ValueError(
            "codec 'pickle' runs whatever code a body contains: say trusted=True if everybody who"
            " can put into this queue may do that here"
        )
    return codec
