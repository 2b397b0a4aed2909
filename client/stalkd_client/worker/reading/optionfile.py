"""From a mapping, as files have them, to words of a command line: the command reads and checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

import click

NUMBERS: Final = (click.types.IntParamType, click.types.FloatParamType)


def options_of(command: click.Command) -> dict[str, click.Option]:
    """Return the options that have a value, by their long names without dashes."""
    options = [each for each in command.params if isinstance(each, click.Option)]
    return {long_name(each): each for each in options if each.expose_value}


def long_name(option: click.Option) -> str:
    """Return how an option is called in a file."""
    return max(option.opts, key=len).removeprefix("--")


def words_of(command: click.Command, members: Mapping[str, Any]) -> list[str]:
    """Return these options as words; underscores in names stand for dashes.

    Raises ValueError for a name that is none, and for a value of another type.
    """
    known = options_of(command)
    return [
        word
        for key, value in members.items()
        for word in _words(_known(key.replace("_", "-"), known), value)
    ]


def _known(name: str, known: Mapping[str, click.Option]) -> click.Option:
    if name in known:
        return known[name]
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
    raise ValueError(f"there is no option {name!r}; {hint}")


def _words(option: click.Option, value: Any) -> Iterator[str]:
    name = long_name(option)
    if option.is_flag:
        if not isinstance(value, bool):
            raise ValueError(f"{name} is true or false, not {value!r}")
        chosen = option.opts if value else option.secondary_opts
        yield from chosen[-1:]  # Its long name. A flag that is off has none, or one of its own.
        return
    for one in _several(name, value, is_multiple=option.multiple):
        yield f"--{name}={_text(name, option.type, one)}"


def _several(name: str, value: Any, *, is_multiple: bool) -> list[Any]:
    """Return single values: a mapping's are written as ``key=value``."""
    if not isinstance(value, dict | list):
        return [value]
    if not is_multiple:
        raise ValueError(f"{name} has one value, not {value!r}")
    if isinstance(value, dict):
        return [f"{key}={_text(name, click.STRING, each)}" for key, each in value.items()]
    return value


def _text(name: str, kind: object, value: Any) -> str:
    is_to_be_number = isinstance(kind, NUMBERS)
    expected = int | float if is_to_be_number else str
    is_right = isinstance(value, expected) and not isinstance(value, bool)
    if not is_right:
        raise ValueError(f"{name} is {'a number' if is_to_be_number else 'text'}, not {value!r}")
    return str(value)
