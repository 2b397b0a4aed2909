"""Durability: what is remembered, how it is written, and how it is read back.

``records`` and ``frames`` are the format (stalkd-wal(5)), ``files`` is all that is asked of the
system. ``log`` writes, ``compactor`` and ``space`` keep it small, ``replay`` reads it at the start
and ``offline`` for the operator. Nothing here waits, starts threads or looks at a clock: a sync is
a task that ``server`` runs in a thread.
"""
