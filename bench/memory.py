"""What a ready job costs in resident memory."""

from bench.control import fill, must_hold
from bench.jobs import Shape
from bench.meters import rss_bytes
from bench.servers import Target


def per_job(target: Target, jobs: int, shape: Shape) -> float:
    """Growth of the server's resident memory in bytes per job."""
    must_hold(target, 0)  # and with it, all code that is loaded at first use is there
    before = rss_bytes(target.pid)
    fill(target, jobs, shape)
    return (rss_bytes(target.pid) - before) / jobs
