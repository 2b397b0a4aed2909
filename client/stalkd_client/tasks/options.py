"""How a task's jobs are put: what can be said with ``@task`` and with ``.options``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypedDict

from stalkd_client.arguments import check_tube
from stalkd_client.codecs import Codec
from stalkd_client.requests import DEFAULT_PRIORITY, DEFAULT_TTR, PutForm, put_form
from stalkd_client.tasks.envelope import RESULT_TTL_S, find_codec


class CallOptions(TypedDict, total=False):
    """The same names and types as ``Options``, for those who check types."""

    queue: str | None
    url: str | None
    codec: str
    trusted: bool
    result: bool
    result_ttl: float
    priority: int
    delay: float
    ttr: float
    ttl: float | None
    attempts: int | None
    dead: str | None
    key: str | None
    sync: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where and how jobs are put.

    ``queue`` is the tube, by default the task's name; ``url`` the server, by default that in
    STALKD_URL. ``result`` asks for a reply, which is kept for ``result_ttl`` seconds. ``codec`` is
    ``json``, or ``pickle`` if ``trusted``. The others are those of ``Client.put``.
    """

    queue: str | None = None
    url: str | None = None
    codec: str = "json"
    trusted: bool = False
    result: bool = False
    result_ttl: float = RESULT_TTL_S
    priority: int = DEFAULT_PRIORITY
    delay: float = 0
    ttr: float = DEFAULT_TTR
    ttl: float | None = None
    attempts: int | None = None
    dead: str | None = None
    key: str | None = None
    sync: bool = False

    def but(self, given: Mapping[str, Any]) -> Options:
        """Return the same with what is given, be it 0 or ""; None stands for the usual value.

        Raises TypeError for what is no option, ValueError for a value that no server takes.
        """
        unknown = given.keys() - USUAL.keys()
        if unknown:
            names = ", ".join(sorted(unknown))
            raise TypeError(f"no option of a task: {names}; there are {', '.join(USUAL)}")
        meant = {name: USUAL[name] if value is None else value for name, value in given.items()}
        for name in _NAMES & meant.keys():
            meant[name] = meant[name] or None  # An empty name takes back an earlier one.
        changed = replace(self, **meant)
        changed.check()
        return changed

    def check(self) -> None:
        """Raise ValueError for what could only fail later."""
        self.form()
        self.find_codec()
        if self.queue is not None:
            check_tube(self.queue)
        if not self.result_ttl > 0:
            raise ValueError(f"result_ttl is {self.result_ttl}: a reply must live to be read")

    def form(self) -> PutForm:
        """Return what puts with these options have in common. Raises ValueError."""
        return put_form(
            priority=self.priority,
            delay=self.delay,
            ttr=self.ttr,
            ttl=self.ttl,
            attempts=self.attempts,
            dead=self.dead,
            sync=self.sync,
            keyed=self.key is not None,
        )

    def find_codec(self) -> Codec:
        """Return the codec of the bodies. Raises ValueError."""
        return find_codec(self.codec, trusted=self.trusted)


USUAL: Final[dict[str, Any]] = {field.name: field.default for field in fields(Options)}
"""What holds if nothing is said."""

_NAMES: Final = {"queue", "url", "dead", "key"}
