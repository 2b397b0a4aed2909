"""What the service manager hears while the daemon serves: signs of life, and what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stalkd.broker.limits import NEVER, NS_PER_S

if TYPE_CHECKING:
    from stalkd.protocol.session import Shared
    from stalkd.server.keeper import Keeper
    from stalkd.server.notify import Notifier

CALM_NS: Final = NS_PER_S
"""Between two changes of state that are told: a disk may be full and have room by turns."""

TEXTS: Final = {
    "failed": "log failed: {reason}; puts are refused, {jobs}",
    "full": "the disk is full; puts are refused, {jobs}",
    "draining": "draining, {jobs}",
    "serving": "serving {jobs}",
}
"""What is told of each state."""


class Status:
    """Tells nothing: there is no manager. Times are in nanoseconds."""

    def look(self, now: int) -> None:
        """Tell what is new, and that the reactor has come by."""

    def refresh(self) -> None:
        """Tell how many jobs there are by now, if that has changed."""

    def next_deadline(self) -> int:
        """Return when there is something to tell."""
        return NEVER


class ToldStatus(Status):
    """Tells a manager.

    Signs of life come from the reactor's rounds and from nowhere else: a daemon that hangs shall
    not look alive.
    """

    def __init__(self, notifier: Notifier, shared: Shared, keeper: Keeper) -> None:
        """Start with nothing told."""
        self._notifier = notifier
        self._shared = shared
        self._keeper = keeper
        self._state = ""
        self._calm_until = 0
        self._beat_at = NEVER if notifier.beat_ns == NEVER else 0

    def look(self, now: int) -> None:
        """Tell what is new, and that the reactor has come by."""
        if now >= self._beat_at:
            self._beat_at = now + self._notifier.beat_ns
            self._notifier.beat()
        if now >= self._calm_until and self._state != self._present():
            self._calm_until = now + CALM_NS
            self.refresh()

    def refresh(self) -> None:
        """Tell how it is, with the number of jobs of now, if that has changed."""
        self._state = self._present()
        self._notifier.status(self.text())

    def text(self) -> str:
        """Put the present state into words."""
        count = len(self._shared.broker.jobs)
        jobs = "1 job" if count == 1 else f"{count} jobs"
        return TEXTS[self._present()].format(jobs=jobs, reason=self._keeper.failed)

    def next_deadline(self) -> int:
        """Return when there is something to tell."""
        if self._state == self._present():
            return self._beat_at
        return min(self._beat_at, self._calm_until)

    def _present(self) -> str:
        """Name the first of these that is so."""
        if self._shared.log_lost:
            return "failed"
        if self._keeper.is_full:
            return "full"
        return "draining" if self._shared.draining else "serving"
