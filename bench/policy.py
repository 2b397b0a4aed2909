"""A tube with every policy there is, none of which ever keeps anybody waiting."""

from bench.control import must_reply
from bench.jobs import Shape
from bench.section import Section
from bench.servers import Target
from bench.throughput import Load, put, take

# Far from what any run reaches: measured is what it costs to look whether it is reached.
_ALL = b" ".join(
    [
        b"set-policy default attempts=1000 dead=bench-dead ttl=86400 max-jobs=100000000",
        b"rate=1000000 concurrency=1000000 ageing=0.5\r\n",
    ]
)


def put_with_policies(target: Target, load: Load, shape: Shape) -> Section:
    """Puts jobs into such a tube."""
    must_reply(target, _ALL, b"POLICY_SET\r\n")
    return put(target, load, shape)


def take_with_policies(target: Target, load: Load, shape: Shape) -> Section:
    """Reserves and deletes jobs of such a tube."""
    must_reply(target, _ALL, b"POLICY_SET\r\n")
    return take(target, load, shape)
