"""What can be wrong with a log."""

from __future__ import annotations


class JournalError(Exception):
    """The log cannot be used; the text says what happened, where, and what to do."""


class DamagedError(JournalError):
    """What was certainly written is not there any more."""
