"""What ``stats`` shows of the log, in beanstalkd's names where it has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stalkd.journal.log import Log

NS_PER_MS: Final = 1_000_000


def statistics(log: Log) -> dict[str, str | int]:
    """Return the numbers of the files, and what is written, needed and synced."""
    syncs = log.syncs
    return {
        "binlog-oldest-index": log.bounds.first,
        "binlog-current-index": log.writer.number,
        "binlog-records-migrated": log.compactor.copied,
        "binlog-records-written": log.writer.records,
        "binlog-max-size": log.compactor.segment_bytes,
        "binlog-bytes-live": log.writer.live,
        "binlog-bytes-on-disk": log.compactor.used() + log.bounds.doomed_bytes + log.space.reserved,
        "binlog-syncs": syncs.count,
        "binlog-records-per-sync": f"{syncs.covered / max(syncs.count, 1):.1f}",
        "binlog-last-sync-ms": f"{syncs.last_ns / NS_PER_MS:.3f}",
        "binlog-state": log.state(),
    }
