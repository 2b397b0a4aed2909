"""Numbers that the log is made of, each with its reason."""

from typing import Final

FORMAT_VERSION: Final = 1
"""Version of the format, in each segment's header."""

LEAST_SEGMENT: Final = 32 * 1024
"""Smallest size of a segment: below that, headers and checkpoints would fill it. Smaller values of
-s are taken as this."""

MOST_CHUNK: Final = 64 * 1024
"""Bytes by which the file being written is extended ahead of the data. Large enough that a put
seldom pays for it, small enough for disks of a megabyte."""

BLOCK: Final = 4096
"""Bytes by which file systems give out space, or a multiple of that."""

CHUNKS_PER_SEGMENT: Final = 8
"""... and at most this part of a segment."""

RESERVE_PER_LIVE: Final = 1.5
"""Space that is reserved for times of a full disk, per byte of the jobs that cleaning a segment may
have to copy; the half above is for deletes and releases that come while it is copied."""

RESERVE_SHARE: Final = 10
"""Besides, this part of the living bytes is reserved (a tenth): to delete all jobs of 150 bytes
takes a seventh, and space comes back only when the compactor has been all the way round."""

SPARE_CHUNKS: Final = 2
"""Chunks that are reserved besides: what the commands of one round may write. When less is spare on
a full disk, cleaning goes first."""

COPY_STEP: Final = 128 * 1024
"""Bytes that compaction copies at most before clients have their turn: about 2 ms."""

IDS_STEP: Final = 20_000
"""Entries that compaction looks at in one go: about 2 ms as well."""

MANY_SEGMENTS: Final = 16
"""Segments beyond those that the data needs, from which on the oldest are joined however small they
are: a daemon that is restarted a thousand times must not leave a thousand files."""

LAZY_SYNC_NS: Final = 50_000_000
"""How long a record may stay unsynced that no reply depends on, as counters of reserves do, where
syncs are otherwise immediate (-f 0)."""

MARK_NS: Final = 50_000_000
"""How long after a sync its mark is written if nothing else is."""

REMOVAL_RETRY_NS: Final = 10_000_000_000
"""How long after a file could not be removed this is tried again, if nothing else is synced."""

RETRY_NS: Final = 100_000_000
"""How long after a write that found no room it is tried again."""

NEWS_NS: Final = 1_000_000_000
"""Least time between two lines that say whether the disk is full: it may be so and not be so by
turns, a hundred times a second."""

PRESUMED_SYNCED_NS: Final = 60_000_000_000
"""With -F: what was written so long ago is taken to be on disk. Linux writes back what is 30
seconds old, every 5 seconds (vm.dirty_expire_centisecs, vm.dirty_writeback_centisecs)."""

MANY_RETIRED: Final = 8
"""Files of finished segments that wait for a sync at which one is due, with -F too: until then they
are open, and descriptors are scarce."""

MOST_RETIRED: Final = 16
"""... at which no further segment is begun, but the last one grows. Another so many may belong to
the sync that runs: with these, SPARE_DESCRIPTORS leaves some for all else."""

BEHIND_BYTES: Final = 64 * 1024 * 1024
"""Bytes written but not synced at which no further commands run: memory must not fill up with
replies while a disk hangs."""
