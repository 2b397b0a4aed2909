"""A tube by name, to be looked at and mended: nothing here reads or writes a body."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from stalkd_client.client import Client
from stalkd_client.errors import NotFoundError

if TYPE_CHECKING:
    from stalkd_client.documents import Mapping

LOOK_AGAIN_S: Final = 0.25
"""How often ``block_until_empty`` looks."""

STATES: Final = ("ready", "reserved", "delayed", "buried")

PAGE: Final = 1_000
"""Jobs that are listed at once: what memory holds of a long list."""


class Tube:
    """The jobs of one tube, on a connection of its own: ``client``."""

    def __init__(self, name: str, url: str | None = None, *, retry_for: float = 0.0) -> None:
        """Be the tube of that name on the server at ``url``; if None, on that in STALKD_URL.

        ``retry_for`` is that of ``Client``. Raises ValueError.
        """
        self.name = name
        self.client: Client = Client(url, use=name, watch=name, retry_for=retry_for)
        self._baseline = {"total-jobs": 0, "cmd-delete": 0}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} of {self.client.address}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; jobs that are leased go back to the tube."""
        self.client.close()

    # -- looking --------------------------------------------------------------------------------

    def info(self) -> Mapping:
        """Return what the server tells of this tube; zeros if there is nothing in it."""
        try:
            return self.client.stats_tube(self.name)
        except NotFoundError:
            return {"name": self.name, **{f"current-jobs-{state}": 0 for state in STATES}}

    def count(self, *states: str) -> int:
        """Return how many jobs there are, in all states or in these."""
        told = self.info()
        return sum(_number(told, f"current-jobs-{state}") for state in states or STATES)

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True  # A tube is something, also when it is empty.

    @property
    def leased(self) -> int:
        """How many jobs are being worked on, by anybody."""
        return self.count("reserved")

    @property
    def inserted(self) -> int:
        """How many jobs were put since tube and server are there; or since ``rezero``."""
        return self._since("total-jobs")

    @property
    def completed(self) -> int:
        """How many jobs were deleted since tube and server are there; or since ``rezero``."""
        return self._since("cmd-delete")

    def rezero(self) -> None:
        """Count ``inserted`` and ``completed`` from now on: for this object, not on the server."""
        told = self.info()
        self._baseline = {key: _number(told, key) for key in self._baseline}

    def _since(self, key: str) -> int:
        """A tube that was gone meanwhile has begun again: then its own count is all there is."""
        now = _number(self.info(), key)
        return now - self._baseline[key] if now >= self._baseline[key] else now

    def exists(self) -> bool:
        """Tell whether the tube has a job, or another client uses or watches it."""
        told = self.info()
        others = max(_number(told, "current-using"), _number(told, "current-watching")) > 1
        return others or any(_number(told, f"current-jobs-{state}") for state in STATES)

    def jobs(self, state: str = "all") -> Iterator[dict[str, object]]:
        """Give all jobs, or those in a state, by id, as mappings. Needs stalkd."""
        return listed(self.client, self.name, state)

    def block_until_empty(self, timeout: float | None = None) -> bool:
        """Wait until no job is left, in any state but buried; tell whether that came in time."""
        ends = None if timeout is None else time.monotonic() + timeout
        while self.count("ready", "reserved", "delayed"):
            if ends is not None and time.monotonic() >= ends:
                return False
            time.sleep(LOOK_AGAIN_S)
        return True

    @staticmethod
    def list(pattern: str = "*", url: str | None = None) -> list[str]:
        """Return the names of all tubes that match a pattern as shells have it."""
        with Client(url) as client:
            return [name for name in client.list_tubes() if fnmatchcase(name, pattern)]

    # -- mending --------------------------------------------------------------------------------

    def purge(self, state: str = "all") -> int:
        """Delete all jobs, or those in a state; return how many. Needs stalkd."""
        try:
            return self.client.purge_tube(self.name, state)
        except NotFoundError:
            return 0

    def delete(self) -> int:
        """Delete all jobs and take back the policy: the server forgets the tube once unused.

        Returns how many jobs there were. Needs stalkd.
        """
        deleted = self.purge()
        nothing = {"attempts": 0, "ttl": 0, "max_jobs": 0, "rate": 0, "concurrency": 0}
        self.client.set_policy(self.name, **nothing, ageing=0, dead="")
        return deleted

    def release_all(self) -> int:
        """Take back all jobs that are leased, by whomever; return how many. Needs stalkd."""
        try:
            return self.client.release_tube(self.name)
        except NotFoundError:
            return 0

    def kick(self, count: int) -> int:
        """Make up to so many buried jobs ready, or delayed ones if none is; return the count."""
        return self.client.kick(count)

    def pause(self, seconds: float) -> None:
        """Let nobody reserve jobs for some seconds."""
        self.client.pause_tube(self.name, seconds)

    def resume(self) -> None:
        """End a pause."""
        self.client.pause_tube(self.name, 0)


def listed(client: Client, tube: str, state: str, after: int = 0) -> Iterator[dict[str, Any]]:
    """Give the jobs of a tube by id, page by page, behind ``after``. Needs stalkd."""
    while True:
        try:
            page = client.list_jobs(tube, state, after=after, limit=PAGE)
        except NotFoundError:
            return
        yield from page.jobs
        after = page.next
        if not after:
            return


def _number(told: Mapping, key: str) -> int:
    return int(str(told.get(key, 0)))
