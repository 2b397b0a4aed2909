"""Files that are there whole, or as they were before."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(target: Path) -> Iterator[IO[str]]:
    """Give a new file to be written, which is on the disk when it gets its name. Raises OSError.

    Nobody can foresee what it is called before: in a directory of others it might be a link.
    """
    new = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    file = new.open("x", encoding="utf-8")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
