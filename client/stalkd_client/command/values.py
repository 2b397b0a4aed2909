"""What options and arguments of the command take, checked before anything is sent."""

from __future__ import annotations

import re
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from stalkd_client.arguments import MAX_NUMBER, check_key, check_tube
from stalkd_client.command import times
from stalkd_client.command.complete import tube_names

MOST_ID: Final = (1 << 64) - 1
"""The largest id of the protocol."""

MOST_DIGITS: Final = 40
"""Digits of a number: beyond all of them."""

MOST_RATE: Final = 1_000_000
"""Jobs per second: more than any server moves."""

_RATE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(?:/(s|m|h))?", re.ASCII)


class Whole(click.ParamType[int]):
    """A plain decimal number, within limits that nobody needs to read in a summary."""

    name = "n"

    def __init__(self, least: int, most: int) -> None:
        """Refuse numbers below ``least`` and above ``most``."""
        self._least, self._most = least, most

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        if not value.isascii() or not value.isdigit() or len(value) > MOST_DIGITS:
            self.fail(f"{value!r} is no whole number", param, ctx)
        number = int(value)
        if not self._least <= number <= self._most:
            self.fail(f"{value} is not between {self._least} and {self._most}", param, ctx)
        return number


class Duration(click.ParamType[float]):
    """A time: ``90``, ``90s``, ``5m``, ``2h``, ``1d``."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return seconds."""
        if not isinstance(value, str):
            return float(value)
        try:
            seconds = times.seconds_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds > MAX_NUMBER:
            self.fail(f"{value} is longer than the protocol can say", param, ctx)
        return seconds


class Rate(click.ParamType[float]):
    """Jobs in a time: ``10/s``, ``90/m``, ``10``."""

    name = "rate"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return jobs per second."""
        if not isinstance(value, str):
            return float(value)
        found = _RATE.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no rate: say 10/s, 90/m or 500/h", param, ctx)
        rate = float(found[1]) / times.UNITS[found[2] or "s"]
        if not 0 < rate <= MOST_RATE:
            self.fail(f"{value} is not above 0 and up to {MOST_RATE}/s", param, ctx)
        return rate


class TubeName(click.ParamType[str]):
    """The name of a tube."""

    name = "tube"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the name."""
        try:
            check_tube(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the tubes that there are."""
        del param
        names = tube_names(ctx, incomplete)
        return [CompletionItem(name) for name in names]


class DeadTube(TubeName):
    """The name of a tube, or nothing."""

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the name."""
        return super().convert(value, param, ctx) if value else ""


class Key(click.ParamType[str]):
    """A job's key."""

    name = "key"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the key."""
        try:
            check_key(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


DURATION: Final = Duration()
RATE: Final = Rate()
TUBE: Final = TubeName()
DEAD_TUBE: Final = DeadTube()
KEY: Final = Key()
ID: Final = Whole(1, MOST_ID)
AFTER: Final = Whole(0, MOST_ID)
NUMBER: Final = Whole(0, MAX_NUMBER)
COUNT: Final = Whole(1, MAX_NUMBER)
