"""How large a log grows whose jobs stay, and change again and again."""

import re
from collections.abc import Iterator
from contextlib import closing

from bench.control import fill, log_counts, must_hold
from bench.jobs import Shape
from bench.ledger import WrongReply
from bench.load import Connections, Conversation
from bench.servers import Target
from bench.wal import disk_bytes

_WINDOW = 100
# Windows between two looks at the directory.
_LOOK_EVERY = 20
# Longer than any run, so that nothing changes by itself.
_DELAY_S = 3600
_BYTES_PER_MB = 1_000_000


class Churning:
    """Reserves each job in turn and releases it with a delay, again and again."""

    def __init__(self, target: Target, ids: list[bytes], rounds: int) -> None:
        assert target.log is not None
        self._log = target.log
        self._windows = [ids[at : at + _WINDOW] for at in range(0, len(ids), _WINDOW)]
        self._rounds = rounds
        self.most = 0  # bytes that the log has taken on the disk

    def conversation(self) -> Conversation:
        """A hundred jobs at a time; a delayed job can be reserved by its id."""
        for number, window in enumerate(self._all()):
            request = b"".join(b"reserve-job %s\r\n" % job for job in window)
            reply = yield request, 2 * len(window)
            if re.findall(rb"RESERVED (\d+) ", reply) != window:
                raise WrongReply(request, reply)
            request = b"".join(b"release %s 0 %d\r\n" % (job, _DELAY_S) for job in window)
            reply = yield request, len(window)
            if reply != b"RELEASED\r\n" * len(window):
                raise WrongReply(request, reply)
            if number % _LOOK_EVERY == 0:
                self.look()

    def _all(self) -> Iterator[list[bytes]]:
        for _ in range(self._rounds):
            yield from self._windows

    def look(self) -> int:
        """What the log takes on the disk now."""
        size = disk_bytes(self._log)
        self.most = max(self.most, size)
        return size


def churn(target: Target, jobs: int, rounds: int, shape: Shape) -> dict[str, float]:
    """Sizes of the log before and after each of `jobs` jobs was released `rounds` times."""
    ledger = fill(target, jobs, shape)
    churning = Churning(target, ledger.ids(), rounds)
    filled = churning.look()
    with closing(Connections(target.port, 1)) as line:
        line.drive([churning.conversation()])
    must_hold(target, jobs, "delayed")
    churned, needed = churning.look(), log_counts(target).live_bytes
    own = {"needed_mb": needed / _BYTES_PER_MB, "per_needed": churned / needed} if needed else {}
    return own | {
        "bodies_mb": ledger.body_bytes() / _BYTES_PER_MB,
        "filled_mb": filled / _BYTES_PER_MB,
        "churned_mb": churned / _BYTES_PER_MB,
        "most_mb": churning.most / _BYTES_PER_MB,
        "per_body": churned / ledger.body_bytes(),
    }
