"""What a server holds besides the measured load: idle connections, and tubes kept alive."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from time import sleep

from bench.control import ask_yaml
from bench.ledger import WrongReply
from bench.load import ask, connect
from bench.servers import Target

# Accept queues hold at least this many (beanstalkd asks for 1,024); a connection too many
# would wait a second for its next attempt.
_BURST = 500
# Watches per request.
_WATCHES = 100
_POLL_S = 0.01


@contextmanager
def idle_connections(target: Target, count: int) -> Iterator[None]:
    """Opens `count` connections that say nothing, and waits until the server has them all."""
    with ExitStack() as opened, closing(connect(target.port)) as asking:
        for number in range(1, count + 1):
            opened.enter_context(closing(connect(target.port)))
            if number % _BURST == 0 or number == count:
                _wait_for(asking, number + 1)
        yield


def _wait_for(asking: socket.socket, connections: int) -> None:
    while int(ask_yaml(asking, b"stats\r\n")["current-connections"]) < connections:
        sleep(_POLL_S)


@contextmanager
def tubes_alive(target: Target, count: int) -> Iterator[None]:
    """One idle connection that watches `count` tubes, `default` among them."""
    with closing(connect(target.port)) as idle:
        for first in range(1, count, _WATCHES):
            numbers = range(first, min(first + _WATCHES, count))
            request = b"".join(b"watch bench-%d\r\n" % number for number in numbers)
            reply = ask(idle, request, len(numbers))
            if reply != b"".join(b"WATCHING %d\r\n" % (number + 1) for number in numbers):
                raise WrongReply(request, reply)
        yield
