"""What beanstalkd 1.12 forgets or gets wrong across a restart, and stalkd does not.

As in `deviations.py`, this table is all there is: any other difference is a fault. Each of them is
shown by a block of that name in a file of `restarts`.
"""

from __future__ import annotations

from differential.deviations import Deviation

RESTART_DEVIATIONS = {
    "reserves-forgotten": Deviation(
        reason="How often a job was reserved is remembered. The original writes it down only along"
        " with a bury, a kick or a release with a delay.",
    ),
    "timeouts-forgotten": Deviation(
        reason="So is how often its time was up, which the original does not write down.",
    ),
    "release-forgotten": Deviation(
        reason="A release without a delay is remembered, with its priority. The original brings the"
        " job back with the priority that it had before, and the release uncounted.",
    ),
    "buries-grow": Deviation(
        reason="A restart buries nothing. The original counts each buried job once more.",
    ),
    "buried-order": Deviation(
        reason="Buried jobs are kicked in the order in which they were buried. The original puts"
        " them in the order of their puts when it starts.",
    ),
    "pause-forgotten": Deviation(
        reason="A tube stays paused until the time that was asked for. The original forgets it.",
    ),
    "ids-given-twice": Deviation(
        reason="No id is given twice. The original starts again from the highest one that it still"
        " finds in its log, which is 1 once all jobs are gone and the old files are, too.",
    ),
    "large-jobs-dropped": Deviation(
        reason="A smaller -z concerns new jobs only. The original drops those that are larger, and"
        " all that came after them in the same file.",
    ),
}
