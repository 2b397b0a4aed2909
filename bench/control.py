"""What happens before and after a measured section: filling a queue, asking for its state."""

import socket
from contextlib import closing
from dataclasses import dataclass
from math import inf

from bench.jobs import Shape, batches, puts
from bench.ledger import Ledger, WrongReply
from bench.load import ask, connect
from bench.plans import while_time
from bench.servers import Target

# Puts per request while nothing is measured: enough to be quick, and few enough that
# neither side's socket buffer can fill up.
_FILL_WINDOW = 100


@dataclass(frozen=True)
class LogCounts:
    """What a server says of its log; 0 for what it does not say."""

    records: int  # written since it was started
    moved: int  # of them, written once more to make the log shorter
    syncs: int
    live_bytes: int


def fill(target: Target, count: int, shape: Shape, seconds: float = inf) -> Ledger:
    """Puts `count` jobs on one connection, or fewer in so many seconds, unmeasured."""
    ledger = Ledger()
    with closing(connect(target.port)) as peer:
        for batch in while_time(batches(puts(count, shape), _FILL_WINDOW), seconds):
            ledger.inserted(batch, ask(peer, batch, min(_FILL_WINDOW, count - len(ledger))))
    return ledger


def must_hold(target: Target, count: int, state: str = "ready", tube: bytes = b"default") -> None:
    """Raises WrongReply unless exactly `count` jobs are in that state in a tube."""
    request = b"stats-tube %s\r\n" % tube
    with closing(connect(target.port)) as peer:
        reply = ask_yaml(peer, request)
    if reply[f"current-jobs-{state}"] != str(count):
        raise WrongReply(request + b"(%d jobs expected)" % count, repr(reply).encode())


def must_know_extensions(target: Target) -> None:
    """Raises WrongReply at once where a server knows the standard commands only."""
    must_reply(target, b"drain off\r\n", b"ACCEPTING\r\n")


def must_reply(target: Target, request: bytes, wanted: bytes) -> None:
    """Raises WrongReply unless the reply to a request is this line."""
    with closing(connect(target.port)) as peer:
        reply = ask(peer, request)
    if reply != wanted:
        raise WrongReply(request, reply)


def log_counts(target: Target) -> LogCounts:
    """What `stats` says of the log now."""
    with closing(connect(target.port)) as peer:
        stats = ask_yaml(peer, b"stats\r\n")
    return LogCounts(
        int(stats.get("binlog-records-written", 0)),
        int(stats.get("binlog-records-migrated", 0)),
        int(stats.get("binlog-syncs", 0)),
        int(stats.get("binlog-bytes-live", 0)),
    )


def ask_yaml(peer: socket.socket, request: bytes) -> dict[str, str]:
    """Sends a request whose reply is a dictionary in YAML."""
    with closing(peer.makefile("rb")) as replies:
        peer.sendall(request)
        word, _, size = replies.readline().partition(b" ")
        if word != b"OK":
            raise WrongReply(request, word)
        text = replies.read(int(size)).decode()
        replies.readline()
    pairs = (line.partition(": ") for line in text.splitlines()[1:])
    return {key: value for key, _, value in pairs}
