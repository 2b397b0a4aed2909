"""Counts from now on: what ``stalk rezero`` keeps of a tube's totals, and subtracts.

The file is in ``$XDG_STATE_HOME/stalkd``, by server and tube. A total that is smaller than what was
kept belongs to a tube that has begun again: then it counts by itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stalkd_client.command.exits import CommandError
from stalkd_client.command.files import replacing
from stalkd_client.command.tube_stats import number
from stalkd_client.documents import Mapping

COLUMNS: Final = {"inserted": "total-jobs", "completed": "cmd-delete"}
"""What is counted, and the server's total for it."""


@dataclass(slots=True)
class Baseline:
    """The totals of one server's tubes when they were rezeroed."""

    server: str
    totals: dict[str, dict[str, int]] = field(default_factory=dict)

    def since(self, told: Mapping) -> dict[str, int]:
        """Return what was counted since then."""
        zero = self.totals.get(str(told["name"]), {})
        counted = {}
        for name, key in COLUMNS.items():
            now, then = number(told, key), zero.get(key, 0)
            counted[name] = now - then if now >= then else now
        return counted

    def take(self, tubes: Iterable[Mapping]) -> None:
        """Count from now on."""
        for told in tubes:
            self.totals[str(told["name"])] = {key: number(told, key) for key in COLUMNS.values()}

    def drop(self, names: Iterable[str]) -> None:
        """Count from the beginning again."""
        for name in names:
            self.totals.pop(name, None)


def path() -> Path:
    """Return where the baselines are kept."""
    home = os.environ.get("XDG_STATE_HOME", "")
    top = Path(home) if home.startswith("/") else Path.home() / ".local" / "state"
    return top / "stalkd" / "rezero.json"


def load(server: str) -> Baseline:
    """Return the baseline of a server; an empty one if there is none."""
    totals = _read().get(server, {})
    return Baseline(server, totals if isinstance(totals, dict) else {})


def save(baseline: Baseline) -> None:
    """Keep the baseline of a server, in one go. Raises CommandError."""
    everything = _read()
    everything[baseline.server] = baseline.totals
    target = path()
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(target) as file:
            file.write(json.dumps(everything, indent=1) + "\n")
    except OSError as error:
        raise CommandError(f"cannot write {target}: {error.strerror}") from None


def _read() -> dict[str, Any]:
    try:
        found = json.loads(path().read_text())
    except (OSError, ValueError):
        return {}  # Numbers for people's eyes: better from the beginning than not at all.
    return found if isinstance(found, dict) else {}
