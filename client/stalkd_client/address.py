"""Where a server is: ``stalkd://host:port``, ``stalkd+tls://…``, ``unix:/path``, ``local:DIR``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

DEFAULT_PORT: Final = 11300
"""Beanstalk's port."""

DEFAULT_URL: Final = f"stalkd://127.0.0.1:{DEFAULT_PORT}"

URL_VARIABLE: Final = "STALKD_URL"
"""The environment variable that names the server where the program does not."""

TLS_SCHEME: Final = "stalkd+tls"

PLAIN_SCHEMES: Final = ("stalkd", "beanstalk", "beanstalkd", "tcp")
"""What people write for a plain connection."""

LOOPBACK: Final = ("stalkd://127.", "stalkd://localhost", "stalkd://[::1]", "unix:")
"""How addresses begin at which a daemon of this machine would be."""

KINDS: Final = "stalkd://host:port, stalkd+tls://host:port, unix:/path, or local:DIR"


@dataclass(frozen=True, slots=True)
class Tls:
    """How a connection is encrypted, with names of PEM files.

    ``ca`` has the certificates that are trusted, by default the system's; ``cert`` and ``key`` are
    the client's own, if the server asks for one; ``name`` is the name that must stand in the
    server's certificate, by default the host.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port; or the path of a unix socket; or the directory of a private daemon."""

    host: str = ""
    port: int = 0
    path: str = ""
    directory: str = ""
    tls: Tls | None = None

    def __str__(self) -> str:
        if self.path or self.directory:
            return f"unix:{self.path}" if self.path else f"local:{self.directory}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.tls is None:
            return f"stalkd://{host}:{self.port}"
        given = {name: value for name in Tls.__slots__ if (value := getattr(self.tls, name))}
        query = f"?{urlencode(given, safe='/')}" if given else ""
        return f"{TLS_SCHEME}://{host}:{self.port}{query}"


def parse(url: str | None = None) -> Address:
    """Read a URL; if None, the one in STALKD_URL, or the usual one. Raises ValueError."""
    text = url if url is not None else os.environ.get(URL_VARIABLE) or DEFAULT_URL
    scheme, _, rest = text.partition(":")
    read = FILES.get(scheme)
    return _on_network(text) if read is None else read(text, rest)


def _unix(text: str, rest: str) -> Address:
    path = rest.removeprefix("//")
    if not path:
        raise ValueError(f"{text!r} names no socket: unix:/path")
    return Address(path=path)


def _local(text: str, rest: str) -> Address:
    directory = rest.removeprefix("//")
    if not directory:
        raise ValueError(f"{text!r} names no directory: local:DIR")
    home = os.path.expanduser(directory)  # noqa: PTH111 - a string is wanted, not a Path
    return Address(directory=os.path.abspath(home))  # noqa: PTH100 - Path leaves a/../b


FILES: Final[dict[str, Callable[[str, str], Address]]] = {"unix": _unix, "local": _local}
"""Servers that are found in the file system."""


def _on_network(text: str) -> Address:
    parts = urlsplit(text)
    if not parts.hostname or parts.path.strip("/"):
        raise ValueError(f"{text!r} is no address: {KINDS}")
    if parts.scheme == TLS_SCHEME:
        return Address(parts.hostname, _port(text, parts), tls=_tls(text, parts))
    if parts.scheme not in PLAIN_SCHEMES or parts.query:
        raise ValueError(f"{text!r} is no address: {KINDS}")
    return Address(parts.hostname, _port(text, parts))


def _port(text: str, parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} has no good port: {error}") from None
    return DEFAULT_PORT if port is None else port


def _tls(text: str, parts: SplitResult) -> Tls:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = options.keys() - set(Tls.__slots__)
    if unknown:
        raise ValueError(f"{text!r}: {min(unknown)!r} is none of {', '.join(Tls.__slots__)}")
    if "key" in options and "cert" not in options:
        raise ValueError(f"{text!r}: a key needs a cert, the certificate it belongs to")
    return Tls(**options)
