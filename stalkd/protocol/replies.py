"""Every reply there is, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stalkd.broker.limits import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stalkd.broker.job import Job

ACCEPTING: Final = b"ACCEPTING\r\n"
BAD_FORMAT: Final = b"BAD_FORMAT\r\n"
BURIED: Final = b"BURIED\r\n"
DEADLINE_SOON: Final = b"DEADLINE_SOON\r\n"
DELETED: Final = b"DELETED\r\n"
DRAINING: Final = b"DRAINING\r\n"
EXPECTED_CRLF: Final = b"EXPECTED_CRLF\r\n"
JOB_TOO_BIG: Final = b"JOB_TOO_BIG\r\n"
KICKED: Final = b"KICKED\r\n"
NOT_DURABLE: Final = b"NOT_DURABLE\r\n"
NOT_FOUND: Final = b"NOT_FOUND\r\n"
NOT_IGNORED: Final = b"NOT_IGNORED\r\n"
OUT_OF_MEMORY: Final = b"OUT_OF_MEMORY\r\n"
PAUSED: Final = b"PAUSED\r\n"
POLICY_SET: Final = b"POLICY_SET\r\n"
RELEASED: Final = b"RELEASED\r\n"
TIMED_OUT: Final = b"TIMED_OUT\r\n"
TOUCHED: Final = b"TOUCHED\r\n"
TUBE_FULL: Final = b"TUBE_FULL\r\n"
UNKNOWN_COMMAND: Final = b"UNKNOWN_COMMAND\r\n"

QUOTED: Final = frozenset({"name", "tube", "version", "hostname", "os", "platform", "server"})
"""Keys whose values are quoted, as in beanstalkd 1.13: a tube may be called ``1e5`` or ``true``,
and a YAML reader must get a string. Neither names nor these values contain quotes."""


def inserted(job_id: int) -> bytes:
    """Answer a put."""
    return b"INSERTED %d\r\n" % job_id


def exists(job_id: int) -> bytes:
    """Answer a put-with whose key another job has."""
    return b"EXISTS %d\r\n" % job_id


def reserved_batch(jobs: list[Job]) -> bytes:
    """Answer a reserve-batch."""
    parts = [b"RESERVED_BATCH %d\r\n" % len(jobs)]
    names: dict[str, bytes] = {}
    for job in jobs:
        body, tube = job.body, job.tube.name
        name = names.get(tube) or names.setdefault(tube, tube.encode("ascii"))
        ttr = b"%d" % job.ttr if job.terms is None else _ttr(job)
        parts.append(
            b"JOB %d %d %d %b %d %b\r\n%b\r\n"
            % (job.id, len(body), job.pri, ttr, job.attempts(), name, body)
        )
    return b"".join(parts)


def _ttr(job: Job) -> bytes:
    """Return the time-to-run in seconds; with decimals only where it is no whole number."""
    if job.terms is None or not job.terms.lease % NS_PER_S:
        return b"%d" % job.ttr
    return b"%.3f" % (job.terms.lease / NS_PER_S)


def reserved(job: Job) -> bytes:
    """Answer a reserve with a job."""
    return b"RESERVED %d %d\r\n%b\r\n" % (job.id, len(job.body), job.body)


def found(job: Job) -> bytes:
    """Answer a peek with a job."""
    return b"FOUND %d %d\r\n%b\r\n" % (job.id, len(job.body), job.body)


def using(name: str) -> bytes:
    """Name the tube in use."""
    return b"USING %b\r\n" % name.encode("ascii")


def watching(count: int) -> bytes:
    """Tell how many tubes are watched."""
    return b"WATCHING %d\r\n" % count


def kicked(count: int) -> bytes:
    """Tell how many jobs were kicked."""
    return b"KICKED %d\r\n" % count


def mapping(values: Mapping[str, str | int | bool]) -> bytes:
    """Answer with a YAML mapping."""
    return _yaml("".join(f"{key}: {_scalar(key, value)}\n" for key, value in values.items()))


def listing(names: Iterable[str]) -> bytes:
    """Answer with a YAML list of tube names."""
    return _yaml("".join(f"- {name}\n" for name in names))


def _yaml(text: str) -> bytes:
    body = f"---\n{text}".encode()
    return b"OK %d\r\n%b\r\n" % (len(body), body)


def _scalar(key: str, value: str | int | bool) -> str:  # noqa: FBT001 - a value, not a switch
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if key in QUOTED else str(value)


# -- what the extended commands show: every string is quoted -------------------------------------


def document(text: str) -> bytes:
    """Answer with a YAML document of entries and items."""
    return _yaml(text)


def entries(values: Mapping[str, object], indent: str = "") -> str:
    """Return a mapping's lines."""
    return "".join(
        [
            f"{indent}{key}: {value if type(value) is int else _quoted(value)}\n"
            for key, value in values.items()
        ]
    )


def items(name: str, mappings: Iterable[Mapping[str, object]]) -> str:
    """Return the lines of a list of mappings under a name."""
    text = "".join("- " + entries(values, "  ")[2:] for values in mappings)
    return f"{name}:\n{text}" if text else f"{name}: []\n"


def strings(name: str, texts: Iterable[str]) -> str:
    """Return the lines of a list of strings under a name."""
    text = "".join(f"- {_quoted(each)}\n" for each in texts)
    return f"{name}:\n{text}" if text else f"{name}: []\n"


def _quoted(value: object) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return f"[{', '.join(map(_quoted, value))}]"
    return str(value)
