"""Numbers that the rules are made of, each with its reason."""

from typing import Final

NS_PER_S: Final = 1_000_000_000
"""Time is counted in whole nanoseconds: exact sums, and a deadline fits into an integer key."""

ID_BITS: Final = 64
"""Job ids are unsigned 64-bit numbers in the Beanstalk protocol."""

ID_MASK: Final = (1 << ID_BITS) - 1
"""Takes the job id out of a key (see ``sortedkeys``)."""

NEVER: Final = 1 << 63
"""A time that does not come: 292 years of nanoseconds."""

URGENT_BELOW: Final = 1024
"""Ready jobs of a smaller priority number count as urgent (beanstalkd, doc/protocol.txt)."""

MIN_TTR_S: Final = 1
"""A time-to-run of 0 would expire as it is reserved; the protocol raises it to 1 second."""

DEADLINE_MARGIN_NS: Final = 1 * NS_PER_S
"""How long before the end of a lease a waiting holder is told DEADLINE_SOON."""

TICK_LIMIT: Final = 1_000
"""Deadlines handled in one tick. A million delays that end together must not stall the clients:
a thousand take about 3 ms, then whoever sent commands meanwhile has a turn."""

CHORES_PER_TICK: Final = 2
"""Chores that go on in one tick, a step of some milliseconds each; the others follow in turn."""

JOB_COST: Final = 320
"""Bytes that a job takes besides its body: the object, its id and key, and its share of the
containers, as measured by ``bench``. Used for the memory limit."""

DEFAULT_TUBE: Final = "default"
"""The tube every client starts with; it always exists."""
