"""RQ, with no result kept, as nobody asks for one."""

import os

from handlers import nothing
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

_queue = Queue(connection=Redis.from_url(os.environ["BENCH_BROKER"]), serializer=JSONSerializer)


def push(number: int) -> None:
    """One job."""
    _queue.enqueue(nothing, number, result_ttl=0)


def push_many(numbers: list[int]) -> None:
    """All in one pipeline."""
    _queue.enqueue_many(
        [Queue.prepare_data(nothing, (number,), result_ttl=0) for number in numbers]
    )
