"""Where a server is: ``stalkd://host:port`` or ``unix:/path``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

DEFAULT_PORT: Final = 11300
"""Beanstalk's port."""

DEFAULT_URL: Final = f"stalkd://127.0.0.1:{DEFAULT_PORT}"

URL_VARIABLE: Final = "STALKD_URL"
"""The environment variable that names the server where the program does not."""

_SCHEMES: Final = ("stalkd", "beanstalk", "beanstalkd", "tcp")


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port; or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"stalkd://{host}:{self.port}"


def parse(url: str | None = None) -> Address:
    """Read a URL; if None, the one in STALKD_URL, or the usual one. Raises ValueError."""
    text = url if url is not None else os.environ.get(URL_VARIABLE) or DEFAULT_URL
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path:
            raise ValueError(f"{text!r} names no socket: unix:/path")
        return Address(path=path)
    parts = urlsplit(text)
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.path.strip("/"):
        raise ValueError(f"{text!r} is no address: stalkd://host:port, or unix:/path")
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} has no good port: {error}") from None
    return Address(parts.hostname, DEFAULT_PORT if port is None else port)
