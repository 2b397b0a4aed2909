"""Taking commands for a worker from a tube of its own, as `stalk workers` puts them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Final

from stalkd_client.client import Client
from stalkd_client.errors import StalkdError
from stalkd_client.reports import COMMANDS, control_of
from stalkd_client.worker.logs import Log

AGAIN_S: Final = 1.0
"""After which it is tried again to connect; by then a lost connection has expired, too."""

MOST_ORDER: Final = 64
"""Characters of an order's name, which becomes part of reports."""

MOST_SHOWN: Final = 100
"""Bytes of a command that is none which the log shows."""


class Control:
    """Waits for commands, in a thread with a connection of its own, once there is a name.

    ``instance`` is who the commands must be for, if they say so.
    """

    def __init__(
        self, url: str | None, instance: str, log: Log, obey: Callable[[str, str], None]
    ) -> None:
        """Wait for nothing yet; the thread gives ``obey`` each command and its order's name."""
        self._url = url
        self._instance = instance
        self._log = log
        self._obey = obey
        self._lock = threading.Lock()
        self._name = ""
        self._waiting: Client | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    # -- for other threads ----------------------------------------------------------------------

    def listen(self, name: str) -> None:
        """Take the commands for this name from now on."""
        with self._lock:
            is_first, is_new = not self._name, name != self._name
            self._name = name
            if is_new and self._waiting is not None:
                self._waiting.interrupt()
        if is_first:
            self._thread.start()

    def close(self) -> None:
        """Take no more commands."""
        with self._lock:
            self._ended.set()
            if self._waiting is not None:
                self._waiting.interrupt()

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ended.is_set():
            name = self._name
            try:
                with Client(self._url, watch=control_of(name)) as client:
                    client.list_tubes_watched()  # From now on it can be interrupted.
                    while self._begin(name, client):
                        self._take(client)
            except (OSError, StalkdError):
                pass  # The slots tell of it.
            if name == self._name:
                self._ended.wait(AGAIN_S)

    def _begin(self, name: str, client: Client) -> bool:
        """Be interruptible from now on; unless all this is over already."""
        with self._lock:
            is_due = name == self._name and not self._ended.is_set()
            self._waiting = client if is_due else None
            return is_due

    def _take(self, client: Client) -> None:
        try:
            job = client.reserve()
        finally:
            with self._lock:
                self._waiting = None
        client.delete(job)
        try:
            command, order = meant(job.body, self._instance)
        except ValueError as error:
            shown = job.body[:MOST_SHOWN].decode("utf-8", "backslashreplace")
            self._log.say("warning", "bad-command", command=shown, error=error)
            return
        if command:
            self._log.say("info", "told", command=command)
            self._obey(command, order)


def meant(body: bytes, instance: str) -> tuple[str, str]:
    """Return the command that a body is, ``""`` if it is for another worker of the same name.

    And the name of the order, ``""`` if it has none. Raises ValueError.
    """
    try:
        told = json.loads(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    command = told.get("do") if isinstance(told, dict) else None
    if command not in COMMANDS:
        raise ValueError(f'a command is {{"do": one of {", ".join(COMMANDS)}}}')
    order = told.get("order", "")
    if not isinstance(order, str) or len(order) > MOST_ORDER:
        raise ValueError(f"an order is text of {MOST_ORDER} characters at most")
    return (str(command) if told.get("for", instance) == instance else ""), order
