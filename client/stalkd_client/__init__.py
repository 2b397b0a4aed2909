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
from stalkd_client.pushing import PushError
from stalkd_client.queue import Queue
from stalkd_client.spill import SpillError

__all__ = [
    "BadFormatError",
    "BuriedError",
    "Client",
    "DeadlineSoonError",
    "DrainingError",
    "ExistsError",
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
    "Queue",
    "ServerError",
    "SpillError",
    "StalkdError",
    "TimedOutError",
    "TubeFullError",
    "UnsupportedByServerError",
    "WrongUseError",
]
