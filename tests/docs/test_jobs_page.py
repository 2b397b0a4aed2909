"""stalkd-jobs(7) says what the library and the server do."""

import dataclasses
import json
import re
import subprocess
from pathlib import Path

import pytest
from stalkd_client.tasks import outcomes
from stalkd_client.tasks.envelope import RESULT_TTL_S, Envelope
from stalkd_client.tasks.runner import perform

from support.daemon import start_stalkd
from support.pages import check_conversation, lines_of

PAGE = (Path(__file__).resolve().parents[2] / "man" / "stalkd-jobs.7").read_text()
EXAMPLES = PAGE.split(".Sh EXAMPLES\n")[1].split("\n.Sh ")[0]
BODIES = [line for _, arrow, line in lines_of(EXAMPLES) if arrow == ">" and line.startswith(b"{")]


def section(title: str) -> str:
    return PAGE.split(f".Sh {title}\n")[1].split("\n.Sh ")[0]


def members(title: str) -> list[str]:
    outer = re.sub(r"(?s)\.Bl -tag [^\n]*-compact.*?\.El", "", section(title))
    return re.findall(r"^\.It Li (\S+)$", outer, re.MULTILINE)


def test_the_conversation_is_one_that_the_server_has() -> None:
    check_conversation(EXAMPLES)


@pytest.mark.needs("nc")
def test_the_shell_example_puts_a_task() -> None:
    (block,) = re.findall(r"^(\$ body.*?)^\.Ed", EXAMPLES, re.MULTILINE | re.DOTALL)
    typed = re.sub(r"^\$ ", "", block.replace("\\e\n", "\\\n"), flags=re.MULTILINE)
    *commands, shown = typed.replace(r"\er\en", r"\r\n").strip().split("\n")
    with start_stalkd() as daemon:
        script = "\n".join(commands).replace("11300", str(daemon.port))
        done = subprocess.run(
            ["bash", "-c", script], check=True, capture_output=True, text=True, timeout=30
        )
        assert done.stdout.strip() == shown
        with daemon.connect() as wire:
            head, size = wire.ask(b"peek 1").rsplit(b" ", 1)
            assert head == b"FOUND 1"
            body = wire.read_exact(int(size))
    assert Envelope.decode(body) == Envelope("reports.add", (1, 2))


def test_the_members_are_those_of_the_code() -> None:
    assert members("THE ENVELOPE") == [field.name for field in dataclasses.fields(Envelope)]
    everything = json.loads(Envelope("t", reply="r").encode())
    assert list(everything) == members("THE ENVELOPE")
    replies = [outcomes.encode(1, "t", outcomes.Outcome(status)) for status in ("done", "failed")]
    assert [*json.loads(replies[0]), "error"] == members("THE REPLY")
    for name in json.loads(replies[1])["error"]:
        assert f".Li {name}" in section("THE REPLY")
    assert f"are {RESULT_TTL_S:.0f}." in section("THE ENVELOPE")


def test_the_bodies_are_what_the_library_reads_and_writes() -> None:
    first, done, second, failed = BODIES

    def add(a: int, b: int) -> int:
        if isinstance(b, str):
            raise TypeError("not two numbers")
        return a + b

    assert perform(first[:-2], {"reports.add": add}, job_id=1).reply == done[:-2]
    written = perform(second[:-2], {"reports.add": add}, job_id=3).reply
    assert written is not None
    expected = json.loads(written)
    del expected["error"]["traceback"]
    assert expected == json.loads(failed)
    assert outcomes.decode(failed[:-2]).message == "not two numbers"
