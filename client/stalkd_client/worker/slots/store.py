"""Storing what came of jobs, before they are acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

from stalkd_client.errors import StalkdError
from stalkd_client.worker.slots.endings import Ending, refused
from stalkd_client.worker.slots.supply import Supply

Refusal = tuple[Ending, StalkdError]


def store(source: Supply, wanted: Sequence[Ending]) -> tuple[list[Ending], list[Refusal]]:
    """Store outputs, replies and records; return how the jobs may end now, and what was refused.

    A job of which anything was refused ends otherwise, and there may be a record to be stored of
    that. Raises OSError: then nobody knows what was stored.
    """
    endings, refusals = list(wanted), []
    while any(each.puts for each in endings):
        owners = [place for place, each in enumerate(endings) for _ in each.puts]
        answers = source.store([put for each in endings for put in each.puts])
        after = [each._replace(puts=[]) for each in endings]
        troubled: set[int] = set()
        for place, answer in zip(owners, answers, strict=True):
            if isinstance(answer, StalkdError) and place not in troubled:
                troubled.add(place)
                refusals.append((endings[place], answer))
                after[place] = refused(endings[place], answer)
        endings = after
    return endings, refusals
