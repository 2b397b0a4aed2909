"""Shells complete names of tubes; a server that is away costs no time and no message."""

from __future__ import annotations

import subprocess

from stalkd_client import Client
from stalkd_client.reports import control_of

from support.daemon import free_port
from support.stalk import PROGRAM


def complete(words: str, url: str) -> list[str]:
    count = len(words.split())
    result = subprocess.run(
        [PROGRAM],
        env={
            "_STALK_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(count - 1 if not words.endswith(" ") else count),
            "STALKD_URL": url,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert result.stderr == ""
    return [line.partition(",")[2] for line in result.stdout.splitlines() if line]


def test_commands_are_completed(url: str) -> None:
    assert complete("stalk ki", url) == ["kick"]


def test_tubes_are_completed(client: Client, url: str) -> None:
    client.put("x")
    assert complete("stalk kick m", url) == ["mail"]
    assert complete("stalk mv mail ", url) == ["default", "mail"]


def test_workers_are_completed(url: str) -> None:
    with Client(url, watch=control_of("web-1")) as client:
        client.list_tubes_watched()
        assert complete("stalk workers ", url) == ["quiet", "resume", "reload", "stop", "web-1"]
        assert complete("stalk workers stop w", url) == ["web-1"]


def test_an_absent_server_completes_nothing() -> None:
    assert complete("stalk kick m", f"stalkd://127.0.0.1:{free_port()}") == []


def test_bash_gets_its_script(url: str) -> None:
    env = {"_STALK_COMPLETE": "bash_source", "PATH": "/usr/bin:/bin"}
    script = subprocess.run([PROGRAM], env=env, capture_output=True, text=True, check=False).stdout
    assert "complete " in script
