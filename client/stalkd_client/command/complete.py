"""Names of tubes for the shell to complete; silently none if the server is away."""

from __future__ import annotations

from typing import Final

import click

from stalkd_client.client import Client
from stalkd_client.errors import StalkdError

IMPATIENCE_S: Final = 0.5
"""Nobody waits longer than this for a Tab."""


def tube_names(ctx: click.Context, incomplete: str) -> list[str]:
    """Return the names of tubes that begin so."""
    try:
        with Client(_url(ctx), connect_timeout=IMPATIENCE_S, patience=IMPATIENCE_S) as client:
            return sorted(name for name in client.list_tubes() if name.startswith(incomplete))
    except (StalkdError, OSError, ValueError):
        return []


def _url(ctx: click.Context) -> str | None:
    for each in (ctx, ctx.find_root()):
        url = each.params.get("url") or each.params.get("from_url")
        if url:
            return str(url)
    return None
