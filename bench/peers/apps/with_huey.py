"""Huey, without results."""

import os

from handlers import nothing
from huey import RedisHuey

huey = RedisHuey(url=os.environ["BENCH_BROKER"], results=False)
push = huey.task()(nothing)
