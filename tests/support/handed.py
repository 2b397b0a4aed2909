"""Commands with sockets that somebody else has opened, as systemd passes them: sd_listen_fds(3)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from support.command import STALKD
from support.daemon import HOST

# What becomes descriptor 3, 4, …: Python that makes `made`, a list of sockets or files.
TCP = f"made.append(socket.create_server(('{HOST}', 0)))"


def handed(
    *made: str,
    count: str | None = None,
    pid: str = "os.getpid()",
    command: Sequence[str] = STALKD,
) -> list[str]:
    """The command as systemd starts it: descriptors from 3 on, and two variables about them."""
    lines = (
        "import os, socket, sys",
        "made = []",
        *made,
        "kept = [os.dup(each.fileno()) for each in made]",
        "high = [os.dup2(fd, 100 + i) for i, fd in enumerate(kept)]",
        "[os.dup2(fd, 3 + i) for i, fd in enumerate(high)]",
        f"os.environ['LISTEN_PID'] = str({pid})",
        f"os.environ['LISTEN_FDS'] = {count!r} or str(len(made))",
        "os.execv(sys.argv[1], sys.argv[1:])",
    )
    return [sys.executable, "-P", "-c", "\n".join(lines), *command]
