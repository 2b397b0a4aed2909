"""What ``.delay()`` returns: a task that was pushed, and what becomes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from stalkd_client.codecs import Codec
from stalkd_client.errors import TimedOutError, WrongUseError
from stalkd_client.tasks import ends, outcomes
from stalkd_client.tasks.envelope import JSON
from stalkd_client.tasks.errors import TaskDiedError, TaskFailedError, TaskLostError
from stalkd_client.tasks.outcomes import Outcome, Status

if TYPE_CHECKING:
    from stalkd_client.tasks.connections import Connection

V_co = TypeVar("V_co", covariant=True)


class Handle(Generic[V_co]):
    """A task that was pushed. ``id`` is its job's, ``task`` its name.

    ``reply`` is the tube where its result comes, None if none was asked for. Any number of handles
    may be waited for, in any order, and by any threads; each reply is read by one handle.
    """

    __slots__ = ("_codec", "_connect", "_lock", "_outcome", "id", "reply", "task")

    def __init__(
        self,
        task: str,
        job_id: int,
        reply: str | None,
        connect: Callable[[], Connection],
        codec: Codec = JSON,
    ) -> None:
        """Be the handle of a job on the server to which ``connect`` gives the connection."""
        self.task: str = task
        self.id: int = job_id
        self.reply: str | None = reply
        self._connect = connect
        self._codec = codec
        self._outcome: Outcome | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        state = self._outcome.status if self._outcome else "not known to have ended"
        return f"<Handle of {self.task}, job {self.id}, {state}>"

    def done(self) -> bool:
        """Tell whether the task has ended, however it did; this does not wait. Raises OSError."""
        try:
            self.wait(0)
        except TimedOutError:
            return False
        return True

    def wait(self, timeout: float | None = None) -> Status:
        """Wait for the end so many seconds, None: as long as it takes; tell how it ended.

        ``done``, ``failed``, ``dead`` (its attempts are used up, or it was buried) or ``gone``: its
        job is not there, and nobody told why. Without ``result=True``, ``done`` only means that a
        worker deleted the job, and who asks after that is told ``gone``.

        Raises TimedOutError; OSError when the server was away for more than a minute.
        """
        return self._settle(timeout).status

    def result(self, timeout: float | None = None) -> V_co:
        """Wait as ``wait`` does; return what the task returned.

        Raises TaskFailedError if it raised, TaskDiedError, TaskLostError, TimedOutError; and
        WrongUseError if the task was not pushed with ``result=True``.
        """
        if self.reply is None:
            raise WrongUseError(
                f"nobody asked {self.task} for a result when job {self.id} was pushed: say"
                " @task(result=True), or .options(result=True).delay(...); wait() works without"
            )
        outcome = self._settle(timeout)
        if outcome.status == "failed":
            raise TaskFailedError(self.task, outcome.type, outcome.message, outcome.traceback)
        if outcome.status == "dead":
            raise TaskDiedError(f"{self.task}, job {self.id}: {outcome.message}")
        if outcome.status == "gone":
            raise TaskLostError(f"{self.task}, job {self.id}, is gone, and there is no reply")
        return cast("V_co", outcome.value)

    def _settle(self, timeout: float | None) -> Outcome:
        """Wait for the end of the job first: workers store the reply before they acknowledge."""
        if self._outcome is None:
            last = None if timeout is None else time.monotonic() + timeout
            end = ends.wait(self._connect(), self.id, last)
            with self._lock:  # There is one reply, also when several threads have waited for it.
                if self._outcome is None:
                    self._outcome = self._outcome_of(end, last)
        return self._outcome

    def _outcome_of(self, end: ends.End, last: float | None) -> Outcome:
        body = None if self.reply is None else self._connect().take(self.reply, last)
        if body is not None:
            return outcomes.decode(body, self._codec)
        if end.how == "dead":
            return Outcome("dead", message=end.text)
        if end.how == "deleted" and self.reply is None:
            return Outcome("done")
        return Outcome("gone")

    def settle(self, outcome: Outcome) -> None:
        """Know the outcome without asking: as inline mode does."""
        self._outcome = outcome
