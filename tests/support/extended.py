"""For tests of the extended commands: a core that is checked after each step, and what it shows."""

from __future__ import annotations

from typing import Any

import yaml

from stalkd.broker.check import check
from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.session import Session
from support.core import Core

NS_PER_MS = NS_PER_S // 1000


class CheckedCore(Core):
    """A core whose broker is found sound after everything that happens."""

    def settle(self) -> None:
        super().settle()
        check(self.broker)

    def wait_ms(self, milliseconds: int) -> None:
        self.advance(self.now + milliseconds * NS_PER_MS)

    def look(self, session: Session, line: str) -> Any:
        """Send a command and return the YAML document that it is answered with."""
        return document(self.ask(session, line.encode() + b"\r\n"))

    def list_jobs(self, tube: str = "default", state: str = "all") -> list[dict[str, Any]]:
        """Return what list-jobs shows to a client that comes for this."""
        session = self.connect()
        page = self.look(session, f"list-jobs {tube} {state} 0 1000")
        self.disconnect(session)
        assert page["next"] == 0
        jobs: list[dict[str, Any]] = page["jobs"]
        return jobs

    def states(self, tube: str = "default") -> dict[int, str]:
        """Return the states of a tube's jobs by id."""
        return {job["id"]: job["state"] for job in self.list_jobs(tube)}

    def summary(self, tube: str) -> dict[str, Any]:
        """Return what stats-tubes shows of a tube."""
        session = self.connect()
        tubes = self.look(session, "stats-tubes")["tubes"]
        self.disconnect(session)
        found: dict[str, Any] = {each["name"]: each for each in tubes}[tube]
        return found


class FakeJournal:
    """A log that has room for so many bytes of bodies and counts the syncs asked of it."""

    def __init__(self, room: int = 1_000) -> None:
        self.room = room
        self.demands = 0

    def admits(self, body: int, /) -> bool:
        return body <= self.room

    def demand_sync(self) -> None:
        self.demands += 1

    def statistics(self) -> dict[str, str | int]:
        return {}


def put_with(
    options: str = "", *, pri: int = 0, delay: str = "0", ttr: str = "60", body: bytes = b"x"
) -> bytes:
    """Return a put-with and its body."""
    line = f"put-with {pri} {delay} {ttr} {len(body)} {options}".rstrip()
    return line.encode() + b"\r\n" + body + b"\r\n"


def document(reply: bytes) -> Any:
    """Return what stands in an OK reply of the size that it says."""
    head, _, rest = reply.partition(b"\r\n")
    word, size = head.split(b" ")
    assert word == b"OK"
    assert rest.endswith(b"\r\n")
    assert len(rest) == int(size) + 2
    return yaml.safe_load(rest)
