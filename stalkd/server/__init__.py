"""The world: sockets, signals, clocks, the log on stderr. Here and in ``cli`` alone.

Reading order: ``listeners`` (made before anything heavy is imported), ``daemon`` (what runs beside
what), ``acceptor`` (new connections), ``reactor`` (all the others), ``connection``, ``poller``.
"""
