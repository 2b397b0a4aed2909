"""Noticing that nobody uses the daemon any more (--idle-exit)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from stalkd.broker.directory import Directory
    from stalkd.server.reactor import Reactor

LOOKS: Final = 10
"""Looks in the time that is given: it is kept within a tenth, and looking costs nothing."""


async def until_unused(reactor: Reactor, directory: Directory, seconds: float) -> None:
    """Return when there has been no connection for so many seconds."""
    since, seen = trio.current_time(), directory.total_clients
    while trio.current_time() - since < seconds:
        await trio.sleep(seconds / LOOKS)
        if len(reactor) or directory.total_clients != seen:
            since, seen = trio.current_time(), directory.total_clients
