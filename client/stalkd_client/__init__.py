"""A client of stalkd, and of any server that speaks the Beanstalk protocol."""

from stalkd_client.client import Client
from stalkd_client.errors import (
    BadFormatError,
    BuriedError,
    DeadlineSoonError,
    DrainingError,
    ExistsError,
    JobTooBigError,
    LeaseLostError,
    NotDurableError,
    NotFoundError,
    NotIgnoredError,
    OutOfMemoryError,
    ProtocolError,
    ServerError,
    StalkdError,
    TimedOutError,
    TubeFullError,
    UnsupportedByServerError,
    WrongUseError,
)
from stalkd_client.jobs import Job, Page
from stalkd_client.leases import Lease
from stalkd_client.pushing import PushError, PushInterruptedError
from stalkd_client.queue import Queue
from stalkd_client.spill import SpillError
from stalkd_client.tasks.app import DEFAULT, Tasks
from stalkd_client.tasks.errors import (
    BadArgumentsError,
    BadEnvelopeError,
    BadResultError,
    TaskDiedError,
    TaskError,
    TaskFailedError,
    TaskLostError,
    UnknownTaskError,
)
from stalkd_client.tasks.function import Task
from stalkd_client.tasks.handle import Handle
from stalkd_client.tasks.inlining import Inline, inline

task = DEFAULT.task
enqueue = DEFAULT.enqueue
remote_task = DEFAULT.remote_task

__all__ = [
    "BadArgumentsError",
    "BadEnvelopeError",
    "BadFormatError",
    "BadResultError",
    "BuriedError",
    "Client",
    "DeadlineSoonError",
    "DrainingError",
    "ExistsError",
    "Handle",
    "Inline",
    "Job",
    "JobTooBigError",
    "Lease",
    "LeaseLostError",
    "NotDurableError",
    "NotFoundError",
    "NotIgnoredError",
    "OutOfMemoryError",
    "Page",
    "ProtocolError",
    "PushError",
    "PushInterruptedError",
    "Queue",
    "ServerError",
    "SpillError",
    "StalkdError",
    "Task",
    "TaskDiedError",
    "TaskError",
    "TaskFailedError",
    "TaskLostError",
    "Tasks",
    "TimedOutError",
    "TubeFullError",
    "UnknownTaskError",
    "UnsupportedByServerError",
    "WrongUseError",
    "enqueue",
    "inline",
    "remote_task",
    "task",
]
