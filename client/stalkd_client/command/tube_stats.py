"""The numbers of all tubes, from any server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from stalkd_client import requests
from stalkd_client.client import Client
from stalkd_client.command.session import knows_extended
from stalkd_client.documents import Mapping
from stalkd_client.errors import NotFoundError, StalkdError
from stalkd_client.exchange import Request
from stalkd_client.pieces import pieces

T = TypeVar("T")

AT_ONCE: Final = 100
"""Commands sent together: enough to hide the way, few enough for the memory of both sides."""

STATES: Final = ("ready", "reserved", "delayed", "buried")


def all_tubes(client: Client) -> list[Mapping]:
    """Return what the server tells of each tube; beanstalkd is asked for one after the other."""
    if knows_extended(client):
        return client.stats_tubes()
    found: list[Mapping] = []
    for names in pieces(client.list_tubes(), AT_ONCE):
        asked = [requests.stats_tube(name) for name in names]
        found += ask_all(client, asked)
    return found


def ask_all(client: Client, asked: Sequence[Request[T]]) -> list[T]:
    """Send commands together; return the results but of those about what has gone meanwhile."""
    results = client.execute_all(asked)
    return present(results)


def present(results: Iterable[T | StalkdError]) -> list[T]:
    """Return the results without what has gone meanwhile. Raises any other refusal."""
    found: list[T] = []
    for result in results:
        if not isinstance(result, StalkdError):
            found.append(result)
        elif not isinstance(result, NotFoundError):
            raise result
    return found


def count(told: Mapping, state: str) -> int:
    """Return how many jobs of a tube are in a state."""
    return number(told, f"current-jobs-{state}")


def number(told: Mapping, key: str) -> int:
    """Return a number that the server told, 0 if it did not."""
    return int(str(told.get(key, 0)))


def server_id(client: Client) -> str:
    """Return what no other server has, nor this one after a restart; its address, if it is old."""
    return str(client.stats().get("id") or client.address)
