"""The rules of the queue: jobs, tubes, clients, time. No bytes, no sockets, no clock.

Reading order: ``job`` (states and their table), ``sortedkeys`` (the one container), ``tube`` and
``client`` (the places a job can be in), ``alarms`` (time), ``queues`` (moving jobs between places),
``directory`` (which tubes and clients exist), ``broker`` (the commands), ``statistics`` (what is
shown), ``check`` (what must always be true).

Time is an ``int`` of nanoseconds on a monotonic clock, handed in as ``now``.
"""
