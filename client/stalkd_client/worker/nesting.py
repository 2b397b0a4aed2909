"""A worker that imports a program must not start another one by that, and so on."""

from __future__ import annotations

import sys
from typing import Final

from stalkd_client.worker.naming import MAIN

PROCESSES: Final = frozenset(
    {"stalkd_client.worker.inside.child", "stalkd_client.worker.inside.describe"}
)
"""What runs in processes that import code of users."""


def check_is_program() -> None:
    """Raise RuntimeError in a process that only imports the program: it would start itself."""
    spec = getattr(sys.modules[MAIN], "__spec__", None)
    if spec is not None and spec.name in PROCESSES:
        raise RuntimeError(
            "a process of a worker imports this module, and must not start another worker: put that"
            ' under: if __name__ == "__main__":'
        )
