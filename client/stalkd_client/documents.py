"""Reading the YAML that servers send: flat mappings, lists, and lists of flat mappings.

That is all there is in the protocol, so no YAML library is needed.
"""

from __future__ import annotations

import re
from typing import Final

Scalar = int | float | str | bool
Value = Scalar | list[Scalar]
Mapping = dict[str, Value]

_INT: Final = re.compile(r"-?\d+")
_FLOAT: Final = re.compile(r"-?\d+\.\d+")
_ITEM: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^,\[\]]+')
_ESCAPE: Final = re.compile(r"\\(.)")

TEXT_KEYS: Final = frozenset({"name", "tube", "version", "hostname", "os", "platform", "id"})
"""Keys whose plain values are text, even where they look like numbers: beanstalkd does not always
quote them. (``id`` is a hexadecimal number in ``stats``.)"""


def mapping(text: str) -> Mapping:
    """Read ``key: value`` lines."""
    pairs = (line.partition(":") for line in _lines(text))
    return {key.strip(): _value(value.strip(), key.strip()) for key, _, value in pairs}


def listing(text: str) -> list[str]:
    """Read ``- name`` lines."""
    return [_text(line.removeprefix("- ").strip()) for line in _lines(text)]


def document(text: str, name: str) -> tuple[Mapping, list[Mapping]]:
    """Read a mapping with one list of mappings in it, which is called ``name``."""
    top: Mapping = {}
    items: list[Mapping] = []
    target = top
    for line in _lines(text):
        if line in {f"{name}:", f"{name}: []"}:
            continue
        if line.startswith("- "):
            target = {}
            items.append(target)
            line = line[2:]  # noqa: PLW2901 - the rest of it is a pair like any other
        key, _, value = line.strip().partition(":")
        target[key] = _value(value.strip(), key)
    return top, items


def strings(text: str, name: str) -> tuple[Mapping, list[str]]:
    """Read a mapping with one list of strings in it, which is called ``name``."""
    head, _, tail = text.partition(f"\n{name}:")
    found = tail.strip()
    return mapping(head), [] if found == "[]" else listing(found)


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip() and line != "---"]


def _value(text: str, key: str) -> Value:
    if text.startswith("["):
        return [_scalar(item.strip()) for item in _ITEM.findall(text[1:-1]) if item.strip()]
    if key in TEXT_KEYS and not (key == "id" and _INT.fullmatch(text) and len(text) < _HEX_ID):
        return _text(text)
    return _scalar(text)


_HEX_ID: Final = 16
"""Digits of the server's own id in ``stats``."""


def _scalar(text: str) -> Scalar:
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if text in {"true", "false"}:
        return text == "true"
    return _text(text)


def _text(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return _ESCAPE.sub(r"\1", text[1:-1])
    return text
