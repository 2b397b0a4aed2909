"""Exit codes of ``stalk-worker``; those of the command line itself are click's."""

from __future__ import annotations

from typing import Final

EXIT_CANNOT_START: Final = 1
"""The handler cannot be imported, or its ``pre_handling`` fails."""

EXIT_FAILED: Final = 3
"""With ``--fail-on-error``: a job has failed."""

EXIT_GIVEN_UP: Final = 4
"""Jobs were given back unfinished: the time of ``--grace`` was over, or a second signal came; or,
with ``--once``, lines are left."""

EXIT_BUG: Final = 70
"""The worker found itself in a wrong state (EX_SOFTWARE of sysexits.h)."""

EXIT_IO: Final = 74
"""With ``--once``: stdin cannot be read, or stdout or the file of ``--errors`` not written
(EX_IOERR)."""

EXIT_NO_READER: Final = 141
"""With ``--once``: whoever read the output has gone; 128 and the number of SIGPIPE."""
