"""Puts of any number of jobs, many on their way at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stalkd_client.client import Client
from stalkd_client.command.wording import jobs
from stalkd_client.errors import ExistsError, StalkdError
from stalkd_client.exchange import Request
from stalkd_client.operations import WINDOW, WINDOW_BYTES
from stalkd_client.pieces import pieces


def windows(asked: Iterable[Request[int]]) -> Iterator[list[Request[int]]]:
    """Give requests in lists that can be sent at once."""
    return pieces(asked, WINDOW, lambda request: len(request.data), WINDOW_BYTES)


def pour(client: Client, asked: Iterable[Request[int]]) -> Iterator[tuple[int, bool]]:
    """Put jobs; give the id of each, and whether it is new. Raises the first refusal.

    Those behind it in the same window may have been taken.
    """
    for window in windows(asked):
        for result in client.execute_all(window):
            if isinstance(result, ExistsError):
                yield result.id, False
            elif isinstance(result, StalkdError):
                raise result
            else:
                yield result, True


def known(done: int) -> str:
    """Return what is known of puts when the connection breaks: of those on their way, nothing."""
    return f"{jobs(done)} put for certain; of the next {WINDOW}, some may have been"
