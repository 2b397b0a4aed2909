"""Dramatiq."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from handlers import nothing

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_BROKER"]))
push = dramatiq.actor(nothing).send
