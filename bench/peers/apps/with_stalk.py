"""Values in a queue, and a handler of its messages."""

import os

from handlers import burn, nothing
from stalkd_client import Queue

__all__ = ["burn", "nothing", "push", "push_many"]

_queue = Queue("jobs", os.environ["BENCH_BROKER"])
push = _queue.push
push_many = _queue.push_many
