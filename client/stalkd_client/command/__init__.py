"""The command ``stalk``: looks at queues, mends them, and carries jobs from server to server."""

from __future__ import annotations

from stalkd_client.command.start import main

__all__ = ["main"]
