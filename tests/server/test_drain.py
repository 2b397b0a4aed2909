"""The command ``drain``: who looks at the log afterwards sees what somebody has typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.inside import serve

if TYPE_CHECKING:
    from trio.testing import MockClock

PUT = b"put 0 0 60 1\r\nx\r\n"


async def test_it_is_logged_and_undone(clock: MockClock) -> None:
    """Once for each change, not for each time it is said."""
    async with serve() as server:
        wire = server.connect()
        await wire.send(PUT + b"drain on\r\ndrain on\r\n" + PUT)
        await wire.expect(b"INSERTED 1\r\nDRAINING\r\nDRAINING\r\nDRAINING\r\n")
        (line,) = server.log.about("draining")
        assert line.startswith("INFO draining jobs=1 ")
        await wire.send(b"drain off\r\n" + PUT)
        await wire.expect(b"ACCEPTING\r\nINSERTED 3\r\n")
        assert server.log.about("accepting") == [
            'INFO accepting jobs=2 hint="puts are taken again"'
        ]
