"""Jobs carried from a tube to another one, of another server, while workers run on both sides.

For each batch of jobs:

1.  They are looked at, or held back where that cannot be avoided (see ``lifting``).
2.  They are put at the target, held back: no worker gets them there yet.
3.  They are deleted at the source. What cannot be deleted, as a worker has it by now, is deleted at
    the target instead.
4.  They are let go at the target.

Whatever dies in between, each job is on one side at least. On stalkd each copy has a key, made of
the source's id and the job's: so whoever starts anew finds those that are there already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from stalkd_client import requests
from stalkd_client.command.landing import Landing
from stalkd_client.command.lifting import Lift, Parcel
from stalkd_client.command.records import MOVED, Freight
from stalkd_client.command.tube_stats import AT_ONCE
from stalkd_client.errors import ExistsError, NotFoundError, StalkdError
from stalkd_client.pieces import pieces
from stalkd_client.tubes import listed

LEAST_DELAY_S: Final = 60.0
"""Delay that a delayed job has at the target, at least: until then its copy at the source is gone,
or somebody has started anew what was killed."""

STATES: Final = ("ready", "delayed", "buried")
"""Jobs that can be carried; others are with a worker."""


@dataclass(slots=True)
class Tally:
    """How it went. ``refusal`` is why the target took no more."""

    carried: int = 0
    taken: int = 0  # by workers of the source, at the last moment
    doubled: int = 0  # ... while a worker of the target had begun, too
    finished: int = 0  # of those that an earlier run had left half done
    refusal: StalkdError | None = None


@dataclass(slots=True)
class Ferry:
    """From a tube to a tube. ``source_id`` is the source's own id; ``as_ready`` changes states."""

    lift: Lift
    landing: Landing
    source_id: str
    as_ready: bool = False
    tally: Tally = field(default_factory=Tally)

    def carry(
        self, states: Sequence[str], tell: Callable[[int], None], stop: Callable[[], bool]
    ) -> None:
        """Carry jobs until there are none, or ``stop`` says so, or the target refuses one."""
        for state in states:
            while not stop() and self.tally.refusal is None:
                parcels = self.lift.next(state)
                if not parcels:
                    break
                self._carry(parcels)
                tell(self.tally.carried)

    def _carry(self, parcels: list[Parcel]) -> None:
        """Bring some jobs over."""
        freights = [self._as_it_arrives(each) for each in parcels]
        keys = [self._key(each.job.id) for each in parcels]
        results = self.landing.put(freights, keys, hold_ready=True)
        there: list[tuple[Parcel, int]] = []
        refused: list[Parcel] = []
        for each, result in zip(parcels, results, strict=True):
            landed = self._landed(each, result)
            if landed:
                there.append((each, landed))
            else:
                refused.append(each)
        buried = [(landed, each.freight) for each, landed in there if self._stays_buried(each)]
        self.landing.bury(buried)
        self._hand_over(there)
        self.lift.give_back(refused)

    def _as_it_arrives(self, parcel: Parcel) -> Freight:
        freight = parcel.freight
        if freight.state == "delayed":
            return replace(freight, delay=max(freight.delay, LEAST_DELAY_S))
        return freight if self._stays_buried(parcel) else replace(freight, state="ready")

    def _stays_buried(self, parcel: Parcel) -> bool:
        return parcel.freight.state == "buried" and not self.as_ready

    def _landed(self, parcel: Parcel, result: int | StalkdError) -> int:
        """Return the id at the target, 0 if it is not there; and why in the tally."""
        if isinstance(result, ExistsError) and self._is_same(parcel, result.id):
            return result.id
        if isinstance(result, StalkdError):
            self.tally.refusal = self.tally.refusal or result
            return 0
        return result

    def _is_same(self, parcel: Parcel, job_id: int) -> bool:
        """A key of our own belongs to this very job; another may belong to anything."""
        if parcel.freight.key is None:
            return True
        try:
            return self.landing.client.peek(job_id).body == parcel.job.body
        except NotFoundError:
            return False

    def _hand_over(self, there: Sequence[tuple[Parcel, int]]) -> None:
        """Delete the originals; from then on the copies are the jobs."""
        gone = self.lift.drop([parcel for parcel, _ in there])
        pairs = list(zip(there, gone, strict=True))
        taken = [landed for (_, landed), deleted in pairs if not deleted]
        self.landing.let_go(
            [landed for (parcel, landed), deleted in pairs if deleted and self._is_let_go(parcel)]
        )
        self.tally.carried += len(pairs) - len(taken)
        self.tally.taken += len(taken)
        self.tally.doubled += self.landing.take_back(taken)

    def _is_let_go(self, parcel: Parcel) -> bool:
        return self._as_it_arrives(parcel).state == "ready"

    def _key(self, job_id: int) -> str:
        return f"{MOVED}{self.source_id}:{job_id}"

    def finish(self) -> None:
        """Let go what an earlier run deleted at the source, and was killed then."""
        if not self.landing.extended:
            return
        prefix = self._key(0)[:-1]
        for piece in pieces(listed(self.landing.client, self.landing.tube, "delayed"), AT_ONCE):
            copies = {
                int(str(told["key"]).removeprefix(prefix)): int(told["id"])
                for told in piece
                if str(told.get("key", "")).startswith(prefix)
            }
            told = self.lift.client.execute_all([requests.stats_job(each) for each in copies])
            lonely = [
                landed
                for landed, result in zip(copies.values(), told, strict=True)
                if isinstance(result, NotFoundError)
            ]
            self.tally.finished += self.landing.let_go(lonely)
