"""The account of every job: taken once, given back once, with the same body."""

import re

_PUT = re.compile(rb"put(?:-with)? \d+ \d+ \d+ \d+(?: \S+)*\r\n([^\n]*)\r\n")
_INSERTED = re.compile(rb"INSERTED (\d+)\r\n")
_JOB = re.compile(rb"JOB (\d+) \d+ (\d+) (\d+) 1 default\r\n([^\n]*)\r\n")
_RESERVED = re.compile(rb"RESERVED (\d+) \d+\r\n([^\n]*)\r\n")

# How much of a wrong reply an error message quotes, in bytes.
_QUOTED = 200


class WrongReply(Exception):
    """The server said something else than the protocol demands: the run is void."""

    def __init__(self, asked: bytes, got: bytes) -> None:
        super().__init__(asked[:_QUOTED], got[:_QUOTED])

    def __str__(self) -> str:
        asked, got = self.args
        return f"wrong reply to {asked!r}: {got!r}"


class Ledger:
    """Bodies by job id, of all jobs the server holds."""

    def __init__(self) -> None:
        self._bodies: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._bodies)

    def ids(self) -> list[bytes]:
        """The ids of all jobs, in the order in which they were put."""
        return list(self._bodies)

    def body_bytes(self) -> int:
        """The size of all bodies together."""
        return sum(map(len, self._bodies.values()))

    def inserted(self, batch: bytes, reply: bytes) -> None:
        """Enters the jobs of a batch of puts under the ids of its reply."""
        bodies, ids = _PUT.findall(batch), _INSERTED.findall(reply)
        if len(ids) != len(bodies) or reply != b"".join(b"INSERTED %s\r\n" % i for i in ids):
            raise WrongReply(batch, reply)
        before = len(self._bodies)
        self._bodies.update(zip(ids, bodies, strict=True))
        if len(self._bodies) != before + len(ids):
            raise WrongReply(b"put (an id was given twice)", reply)

    def delivered(self, reply: bytes) -> None:
        """Strikes out the jobs of a reply to reserves; each must still stand here."""
        again = []
        for job, body in _RESERVED.findall(reply):
            self._strike_out(job, body, reply)
            again.append(b"RESERVED %s %d\r\n%s\r\n" % (job, len(body), body))
        if reply != b"".join(again):
            raise WrongReply(b"reserve", reply)

    def delivered_batch(self, reply: bytes) -> None:
        """Strikes out the jobs of a reply to reserve-batch; none was reserved before."""
        again = []
        for job, pri, ttr, body in _JOB.findall(reply):
            self._strike_out(job, body, reply)
            again.append(b"JOB %s %d %s %s 1 default\r\n%s\r\n" % (job, len(body), pri, ttr, body))
        if reply != b"RESERVED_BATCH %d\r\n" % len(again) + b"".join(again):
            raise WrongReply(b"reserve-batch", reply)

    def _strike_out(self, job: bytes, body: bytes, reply: bytes) -> None:
        if self._bodies.pop(job, None) != body:
            raise WrongReply(b"reserve (job unknown, repeated or changed)", reply)
