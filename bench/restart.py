"""What a log of many jobs takes on the disk, and how long a server needs to read it again."""

from dataclasses import replace

from bench.control import fill, must_hold
from bench.jobs import Shape
from bench.servers import Target
from bench.wal import disk_bytes

_BODY = (100, 100)


def fill_log(target: Target, jobs: int, shape: Shape) -> dict[str, float]:
    """Puts jobs of 100 bytes; what their log takes on the disk, in bytes per job."""
    fill(target, jobs, replace(shape, sizes=_BODY))
    assert target.log is not None
    return {"disk_bytes": disk_bytes(target.log) / jobs}


def started_again(target: Target, jobs: int) -> dict[str, float]:
    """How long it took from exec to the first reply, with that log to be read."""
    must_hold(target, jobs)
    start = target.start
    return {"start_s": start.seconds, "start_cpu_s": start.cpu_s, "waited": start.waited}
