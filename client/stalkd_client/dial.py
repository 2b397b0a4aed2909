"""Making a connection, of whatever kind an address is."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

from stalkd_client.stream import Stream

if TYPE_CHECKING:
    import ssl

    from stalkd_client.address import Address, Tls


def dial(address: Address, timeout: float) -> socket.socket:
    """Connect within so many seconds. Raises OSError."""
    if address.directory:
        from stalkd_client import local  # noqa: PLC0415 - few need it

        return local.connect(address.directory, timeout)
    if address.path:
        return _unix(address.path, timeout)
    sock = socket.create_connection((address.host, address.port), timeout)
    return sock if address.tls is None else _secure(sock, address.tls, address.host)


def _unix(path: str, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(timeout)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def _secure(sock: socket.socket, tls: Tls, host: str) -> ssl.SSLSocket:
    """Encrypt a connection; a server that is not who it should be is an OSError, too."""
    try:
        return context(tls).wrap_socket(sock, server_hostname=tls.name or host)
    except BaseException:
        sock.close()
        raise


def stream_on(sock: socket.socket, patience: float) -> Stream:
    """Return a stream on a connected socket."""
    ssl = sys.modules.get("ssl")  # Who has not loaded it, has no such socket.
    if ssl is None or not isinstance(sock, ssl.SSLSocket):
        return Stream(sock, patience)
    from stalkd_client.tlsstream import TlsStream  # noqa: PLC0415 - few need it

    return TlsStream(sock, patience)


def context(tls: Tls) -> ssl.SSLContext:
    """Return what is trusted, and who we are. Raises OSError."""
    import ssl  # noqa: PLC0415 - it takes longer to load than all the rest

    made = ssl.create_default_context(cafile=tls.ca or None)
    if tls.cert:
        made.load_cert_chain(tls.cert, tls.key or None)
    return made
