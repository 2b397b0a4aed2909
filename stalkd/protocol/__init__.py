"""The Beanstalk protocol: bytes in, bytes out. No sockets and no clock.

Reading order: ``limits``, ``arguments`` (reading numbers and names), ``replies`` (every reply),
``session`` (one connection's state, and what all share), ``puts`` and ``commands`` (what a line
does), ``interpreter`` (from bytes to lines), ``service`` (the door: open, receive, tick, close).
"""
