"""Celery, without results."""

import os

from celery import Celery
from handlers import nothing

app = Celery(broker=os.environ["BENCH_BROKER"].replace("unix://", "redis+socket://"))
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)

push = app.task(nothing).delay
