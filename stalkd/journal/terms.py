"""The part of a record that is about a job's terms, as bytes. The format is in stalkd-wal(5)."""

from __future__ import annotations

from itertools import pairwise
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from stalkd.broker.limits import NEVER
from stalkd.broker.terms import Death, Reason, Terms

if TYPE_CHECKING:
    from stalkd.broker.job import Job

_TERMS = Struct("<QqIIqBBBB")

TERMS_FIXED: Final = _TERMS.size
"""Bytes of the block besides its words."""

_REASONS: Final = tuple(Reason)
"""In the order of their codes, from 1 on; 0 is for a job that has not died."""

_MOST: Final = (1 << 32) - 1


class TermsRecord(NamedTuple):
    """A job's terms. Times are wall clock in nanoseconds, 0 for never; ``reason`` "" if alive."""

    lease: int
    expires: int
    attempts: int
    base: int
    died: int
    reason: str
    key: str
    dead: str
    origin: str

    def terms(self, wall: int) -> Terms | None:
        """Return what this says; ``wall`` is the wall clock's lead. None: there are no terms."""
        if not self.lease:
            return None
        terms = Terms(self.lease)
        terms.expires = self.expires - wall if self.expires else NEVER
        terms.attempts, terms.base = self.attempts, self.base
        terms.key, terms.dead = self.key, self.dead
        if self.reason:
            terms.death = Death(self.died - wall, Reason(self.reason), self.origin)
        return terms


def pack_terms(terms: Terms | None, wall: int) -> bytes:
    """Return the block; of zeros for a job without terms."""
    if terms is None:
        return bytes(TERMS_FIXED)
    death = terms.death
    key, dead = terms.key.encode("ascii"), terms.dead.encode("ascii")
    origin = death.origin.encode("ascii") if death is not None else b""
    fixed = _TERMS.pack(
        terms.lease,
        0 if terms.expires == NEVER else terms.expires + wall,
        terms.attempts,
        min(terms.base, _MOST),
        death.when + wall if death is not None else 0,
        _REASONS.index(death.reason) + 1 if death is not None else 0,
        len(key),
        len(dead),
        len(origin),
    )
    return fixed + key + dead + origin


def unpack_terms(payload: bytes, start: int) -> tuple[TermsRecord, int]:
    """Return the block that begins at ``start``, and where it ends.

    Raises struct.error, IndexError and UnicodeDecodeError for what is no such block.
    """
    *numbers, reason, key_size, dead_size, origin_size = _TERMS.unpack_from(payload, start)
    ends = [start + TERMS_FIXED]
    for size in (key_size, dead_size, origin_size):
        ends.append(ends[-1] + size)
    if ends[-1] > len(payload):
        raise IndexError("the words of a job's terms are cut off")
    words = (payload[begin:end].decode("ascii") for begin, end in pairwise(ends))
    word = _REASONS[reason - 1].value if reason else ""
    return TermsRecord._make((*numbers, word, *words)), ends[-1]


def terms_size(job: Job) -> int:
    """Return the bytes that a job's terms take in its whole record."""
    terms = job.terms
    if terms is None:
        return 0
    origin = len(terms.death.origin) if terms.death is not None else 0
    return TERMS_FIXED + len(terms.key) + len(terms.dead) + origin
