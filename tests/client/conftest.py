"""Servers for the tests of the client library."""

from support.servers import original, server, tube, url

__all__ = ["original", "server", "tube", "url"]
