"""Telling the operator's log that puts are refused from now on, or taken again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stalkd.server.logs import event

if TYPE_CHECKING:
    import logging

    from stalkd.protocol.session import Shared

ON: Final = ("draining", "puts are refused until a restart, or the command: drain off")
OFF: Final = ("accepting", "puts are taken again")


class DrainNews:
    """Knows what was told last: a signal, a command and a lost log can change the state."""

    def __init__(self, shared: Shared, log: logging.Logger) -> None:
        """Begin with a daemon that takes puts."""
        self._shared = shared
        self._log = log
        self._told = False

    def tell_if_new(self) -> None:
        """Log what has changed, unless the loss of the log has said it already."""
        if self._shared.draining is self._told:
            return
        if self._shared.log_lost:
            self._told = self._shared.draining
        else:
            self.tell()

    def tell(self) -> None:
        """Log how it is."""
        self._told = self._shared.draining
        name, hint = ON if self._told else OFF
        self._log.info(event(name, jobs=len(self._shared.broker.jobs), hint=hint))
