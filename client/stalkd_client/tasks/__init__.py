"""Tasks: functions whose calls are jobs. ``from stalkd_client import task`` is where to begin.

``envelope``, ``names``, ``outcomes`` and ``runner`` are also what a worker is built from: none of
them talks to a server.
"""
