"""Times as options have them."""

from __future__ import annotations

from math import isnan
from typing import Any, Final

import click

from stalkd_client.arguments import MAX_NUMBER


class Seconds(click.FloatRange):
    """A number of seconds. NaN is none, though no comparison finds it out of range."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if isnan(number):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return number


SECONDS: Final = Seconds(0, MAX_NUMBER)
SOME_SECONDS: Final = Seconds(0, MAX_NUMBER, min_open=True)
