"""Limits of the protocol, each with its reason."""

from typing import Final

MAX_LINE: Final = 224
"""Bytes of a command line, CR LF included: what beanstalkd takes, so that
``pause-tube <200 bytes> 4294967295`` fits."""

MAX_LONG_LINE: Final = 1024
"""Bytes of the line of an extended command, CR LF included: two tube names and a key fit."""

MAX_KEY: Final = 250
"""Bytes of a job's key: a UUID, a hash or a path."""

MAX_OPTIONS: Final = 8
"""Options of one command: more than there are."""

MAX_RATE: Final = 1_000_000
"""Reserves per second that a policy can allow: more than there can be."""

MOST_BATCH: Final = 1_000
"""Jobs in one batch, however many were asked for: a few milliseconds."""

MOST_LISTED: Final = 1_000
"""Jobs on one page of a list, however many were asked for: a few milliseconds."""

MAX_TUBE_NAME: Final = 200
"""Bytes of a tube name (doc/protocol.txt)."""

MAX_U32: Final = (1 << 32) - 1
"""Largest priority, delay, time-to-run and body size: unsigned 32-bit numbers."""

MAX_U64: Final = (1 << 64) - 1
"""Largest job id: an unsigned 64-bit number."""

MAX_TIMEOUT_S: Final = (1 << 31) - 1
"""Largest timeout of reserve-with-timeout: a signed 32-bit number in beanstalkd."""

OUTPUT_HIGH_WATER: Final = 256 * 1024
"""Bytes of large replies after which a session runs no further command until they are sent: 8-byte
requests for 64 KB bodies must not pile up answers faster than the client takes them."""

MOST_REPLIES: Final = 4_096
"""Replies of one session that wait to be sent, because the disk does not keep up, at which it runs
no further command: less than a megabyte."""

COMMANDS_PER_RUN: Final = 128
"""Commands of one session run in one go, about a quarter of a millisecond. A client that floods
the daemon has its turn as often as the others, not for as long as it likes."""

COMMANDS_PER_ROUND: Final = 2_560
"""Commands of all sessions run before replies are sent, about 5 ms; the other sessions follow in
the next round."""

BACKLOG_LIMIT: Final = 64 * 1024
"""Bytes of commands kept for a session that cannot run them yet (it waits in a reserve, or its
output is full); beyond that it is not read, and the client's own socket holds the rest."""
