"""What the two workers of ``demo.py`` run: a function, and an object that keeps something."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path, PurePath
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

TABLE = """
CREATE TABLE IF NOT EXISTS files
(name TEXT PRIMARY KEY, folder TEXT, lines INTEGER, sha256 TEXT)
"""
# The same file may come twice, if a worker dies at a bad moment: it must not count twice.
STORE = "INSERT OR REPLACE INTO files VALUES (:name, :folder, :lines, :sha256)"
TOTAL = "SELECT count(*), sum(lines), count(DISTINCT sha256) FROM files WHERE folder = ?"


def examine(name: str) -> dict[str, Any]:
    """Count and hash one file. What this returns goes to the next stage."""
    content = (ROOT / name).read_bytes()
    return {
        "name": name,
        "folder": str(PurePath(name).parent),
        "lines": content.count(b"\n"),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


class Folders:
    """Adds files up by folder, in a database: a job is acknowledged when its file is in there."""

    def pre_handling(self) -> None:
        """Open the database, in the worker's current directory. Called once in each process."""
        self.database = sqlite3.connect("folders.db", isolation_level=None)
        # Kill any process, and nothing is lost. What survives a power cut takes a sync each time.
        self.database.execute("PRAGMA synchronous = off")
        self.database.execute(TABLE)

    def message_handler(self, file: dict[str, Any]) -> dict[str, Any]:
        """Add one file; return what its folder has so far."""
        self.database.execute(STORE, file)
        files, lines, distinct = self.database.execute(TOTAL, [file["folder"]]).fetchone()
        return {"folder": file["folder"], "files": files, "lines": lines, "distinct": distinct}

    def post_handling(self) -> None:
        """Close it, after the last message."""
        self.database.close()
