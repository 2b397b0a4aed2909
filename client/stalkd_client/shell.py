"""What the blocking and the async client have in common: all but waiting."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from typing import Any, Final

from stalkd_client.address import LOOPBACK, Address, parse
from stalkd_client.conversation import Talker
from stalkd_client.errors import WrongUseError
from stalkd_client.jobs import Job

HERE: Final = "is the daemon running? start it with `stalkd`"
"""What to do where there should be a daemon on this machine, and is none."""

CONNECT_TIMEOUT_S: Final = 10.0
"""How long one attempt to connect may take."""

PATIENCE_S: Final = 30.0
"""How long an answer may take that the server gives at once: it may be starting, its disk slow."""


class Shell:
    """A client that cannot do anything yet. ``address`` is where its server is."""

    def __init__(
        self,
        url: str | None,
        use: str,
        watch: Iterable[str] | str,
        connect_timeout: float,
        patience: float,
        retry_for: float,
    ) -> None:
        """Be not connected. Raises ValueError for a bad address or tube."""
        self.address: Address = parse(url)
        watched = [watch] if isinstance(watch, str) else watch
        self._talker = Talker(use, watched, retry_for, patience)
        self._connect_timeout = connect_timeout
        self._pid = os.getpid()
        self._handled: BaseException | None = None  # The conversation knows of it.

    def __repr__(self) -> str:
        state = "connected" if self._talker.known.is_open else "not connected"
        held = len(self._talker.known.held)
        return f"<{type(self).__name__} {self.address}, {state}, holds {held} jobs>"

    @property
    def retry_for(self) -> float:
        """How many seconds commands go on trying, as far as that is safe."""
        return self._talker.retry_for

    def holds(self, job: Job) -> bool:
        """Tell whether a job was reserved on the present connection, and not ended since."""
        return self._talker.known.is_held(job)

    def _forked(self) -> WrongUseError:
        return WrongUseError(
            "this client was made before a fork: both processes would read each other's replies;"
            " make a new client in the child"
        )

    def _cannot_connect(self, error: OSError) -> ConnectionError:
        told = ConnectionError(f"cannot connect to {self.address}: {error}")
        if str(self.address).startswith(LOOPBACK):
            told.add_note(HERE)
        return told


def present(method: Callable[..., Any], ask: Callable[..., Any]) -> None:
    """Let a method look like the function that makes its request, but for the result's type."""
    method.__name__, method.__doc__ = ask.__name__, ask.__doc__
    signature = inspect.signature(ask)
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    result = str(signature.return_annotation).removeprefix("Request[").removesuffix("]")
    parameters = [me, *signature.parameters.values()]
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]  # inspect looks for it
        parameters=parameters, return_annotation=result
    )
