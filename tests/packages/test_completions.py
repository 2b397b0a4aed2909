"""The completions of the wheel, in the shells that they are for, as these find them."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from stalkd_client import Client

from support.daemon import free_port, start_stalkd

SHARE = Path(sysconfig.get_path("data")) / "share"
SCRIPTS = sysconfig.get_path("scripts")

BASH = """\
source {share}/bash-completion/completions/{command}
COMP_WORDS=({words}) COMP_CWORD={last}
"$(complete -p {command} | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" {command}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

ZSH = """\
fpath=({share}/zsh/site-functions $fpath)
autoload -Uz compinit && compinit -u -D
[[ $_comps[{command}] == _{command} ]] || exit 9
compadd() {{ local -a found; found=(${{(P)@[-1]}}); print -l -- $found }}
_describe() {{ local -a found; found=(${{(P)@[-2]}}); print -l -- ${{found%%:*}} }}
compdef() {{ : }}
words=({words}) CURRENT={last}+1
autoload +X _{command}
source {share}/zsh/site-functions/_{command}
_{function}_completion
"""

FISH = """\
set -p fish_complete_path {share}/fish/vendor_completions.d
complete --do-complete '{line}'
"""


def bash(line: str) -> str:
    return BASH.format(**about(line))


def zsh(line: str) -> str:
    return ZSH.format(**about(line))


def fish(line: str) -> str:
    return FISH.format(**about(line))


def about(line: str) -> dict[str, object]:
    """What the scripts above want to know of a line that is to be completed."""
    words = line.split(" ")
    return {
        "share": SHARE,
        "command": words[0],
        "function": words[0].replace("-", "_"),
        "line": line,
        "words": " ".join(word or "''" for word in words),
        "last": len(words) - 1,
    }


Script = Callable[[str], str]

each_shell = pytest.mark.parametrize(
    ("shell", "script"),
    [
        pytest.param(["bash", "--norc", "-c"], bash, marks=pytest.mark.needs("bash"), id="bash"),
        pytest.param(["zsh", "-f", "-c"], zsh, marks=pytest.mark.needs("zsh"), id="zsh"),
        pytest.param(["fish", "-N", "-c"], fish, marks=pytest.mark.needs("fish"), id="fish"),
    ],
)


def completions(shell: list[str], text: str, home: Path, url: str) -> list[str]:
    done = subprocess.run(
        [*shell, text],
        check=False,
        capture_output=True,
        text=True,
        env={
            "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "STALKD_URL": url,
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split("\t")[0] for line in done.stdout.splitlines() if line]


@each_shell
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("stalk ki", ["kick"]),
        ("stalkd --exit", ["--exit-on-log-error"]),
        ("stalk-worker --autos", ["--autoscale"]),
    ],
)
def test_commands_and_options(
    shell: list[str], script: Script, line: str, expected: list[str], tmp_path: Path
) -> None:
    nobody = f"stalkd://127.0.0.1:{free_port()}"
    assert completions(shell, script(line), tmp_path, nobody) == expected


@each_shell
def test_tubes(shell: list[str], script: Script, tmp_path: Path) -> None:
    with start_stalkd() as daemon:
        url = "stalkd://{}:{}".format(*daemon.address)
        with Client(url, use="mail") as client:
            client.put("x")
            assert completions(shell, script("stalk kick m"), tmp_path, url) == ["mail"]
