"""What happens before and after a measured section: filling a queue, asking for its state."""

import socket
from contextlib import closing

from bench.jobs import Shape, batches, puts
from bench.ledger import Ledger, WrongReply
from bench.load import ask, connect
from bench.servers import Target

# Puts per request while nothing is measured: enough to be quick, and few enough that
# neither side's socket buffer can fill up.
_FILL_WINDOW = 100


def fill(target: Target, count: int, shape: Shape) -> Ledger:
    """Puts `count` jobs on one connection, unmeasured."""
    ledger = Ledger()
    with closing(connect(target.port)) as peer:
        for batch in batches(puts(count, shape), _FILL_WINDOW):
            ledger.inserted(batch, ask(peer, batch, min(_FILL_WINDOW, count - len(ledger))))
    return ledger


def must_hold(target: Target, count: int) -> None:
    """Raises WrongReply unless exactly `count` jobs are ready in the tube `default`."""
    with closing(connect(target.port)) as peer:
        reply = ask_yaml(peer, b"stats-tube default\r\n")
    if reply["current-jobs-ready"] != str(count):
        raise WrongReply(b"stats-tube default (%d jobs expected)" % count, repr(reply).encode())


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
