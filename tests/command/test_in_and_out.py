"""put, reserve, export, import."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
from stalkd_client import Client, NotFoundError

from support.daemon import Daemon
from support.stalk import Stalk, bury, start


def bodies_in(client: Client, tube: str) -> list[bytes]:
    return [client.peek(int(str(told["id"]))).body for told in client.list_jobs(tube).jobs]


def test_put_of_an_argument(run: Stalk, either: str) -> None:
    out = run(
        "put", "mail", "hello", "--priority", 5, "--delay", "1m", "--ttr", "2m", "--url", either
    )
    with Client(either, use="mail") as client:
        told = client.stats_job(client.peek_delayed())
    assert out.out == f"inserted job {told['id']}\n"
    assert (told["pri"], told["delay"], told["ttr"]) == (5, 60, 120)


def test_put_of_a_file_byte_for_byte(stalk: Stalk, client: Client, tmp_path: Path) -> None:
    body = bytes(range(256)) + b"\r\n"
    (tmp_path / "body").write_bytes(body)
    assert stalk("put", "mail", "--file", str(tmp_path / "body"), "--json").json["inserted"] is True
    assert stalk("put", "mail", "--file", "-", text=body).code == 0
    assert bodies_in(client, "mail") == [body, body]


def test_put_of_json_lines(run: Stalk, either: str) -> None:
    lines = "".join(f'{{"n": {number}}}\n' for number in range(1200))
    out = run("put", "mail", "--url", either, text=lines + "\n")
    assert out.out == "put 1200 jobs into mail\n"
    with Client(either) as client:
        assert client.stats_tube("mail")["current-jobs-ready"] == 1200


def test_put_stops_before_a_line_that_is_no_json(stalk: Stalk, client: Client) -> None:
    out = stalk("put", "mail", text='1\n"two"\n{three\n4\n')
    assert (out.code, out.out) == (1, "")
    assert "line 3 is no JSON" in out.err
    assert "2 jobs before it" in out.err
    assert bodies_in(client, "mail") == [b"1", b'"two"']


def test_put_of_lines_as_they_are(stalk: Stalk, client: Client) -> None:
    assert stalk("put", "mail", "--lines", "-", text="a b\n\n{c\n").code == 0
    assert bodies_in(client, "mail") == [b"a b", b"", b"{c"]


def test_put_with_a_key_tells_the_job_that_is_there(stalk: Stalk, client: Client) -> None:
    first = stalk("put", "mail", "x", "--key", "k", "--json").json
    second = stalk("put", "mail", "x", "--key", "k", "--json").json
    assert (second["id"], second["inserted"]) == (first["id"], False)


@pytest.mark.parametrize(
    "words",
    [
        ["mail", "x", "--file", "-"],
        ["mail", "--key", "k"],
        ["mail", "x", "--delay", "soon"],
        ["-bad", "x"],
        ["two words", "x"],
        ["mail", "x", "--priority", "-1"],
        ["mail", "x", "--key", "a b"],
    ],
)
def test_put_of_nonsense(stalk: Stalk, words: list[str]) -> None:
    refused = stalk("put", *words)
    assert (refused.code, refused.out) == (2, "")


def test_a_refusal_names_the_line(stalk: Stalk, client: Client) -> None:
    client.set_policy("mail", max_jobs=2)
    out = stalk("put", "mail", text="1\n2\n3\n")
    assert (out.code, "line 3: " in out.err) == (1, True)


def test_reserve_and_then(run: Stalk, either: str) -> None:
    with Client(either, use="mail", watch="mail") as client:
        job = client.put("hello", priority=3)
        for then, state in (("release", "ready"), ("bury", "buried")):
            out = run("reserve", "mail", "--then", then, "--raw", "--url", either)
            assert (out.code, out.out) == (0, "hello")
            told = client.stats_job(job)
            assert (told["state"], told["pri"]) == (state, 3)
            client.execute_all([])
        client.kick(1)
        out = run("reserve", "empty", "mail", "--then", "ack", "--json", "--url", either)
        assert (out.json["id"], out.json["body"]) == (job, "hello")
        with pytest.raises(NotFoundError):
            client.peek(job)
        assert run("reserve", "mail", "--then", "ack", "--url", either).code == 1


def test_reserve_asks_nobody_where_there_is_nobody(stalk: Stalk, client: Client) -> None:
    client.put("x")
    assert stalk("reserve", "mail").code == 2
    assert client.stats_tube("mail")["current-jobs-ready"] == 1


@pytest.fixture
def exported(stalk: Stalk, client: Client) -> str:
    """One job of each kind, exported and purged."""
    bury(client, "sick")
    client.put(bytes(range(256)), delay=500, priority=4, key="k", attempts=3, dead="graves")
    client.put('{"n": "ü"}', ttr=2.5, ttl=900)
    out = stalk("export", "mail").out
    stalk("purge", "mail", "-y")
    return out


def test_what_is_exported_is_imported_as_it_was(
    stalk: Stalk, client: Client, exported: str
) -> None:
    assert stalk("import", text=exported).out == "imported 3 jobs\n"
    sick, binary, text = client.list_jobs("mail").jobs
    assert bodies_in(client, "mail") == [b"sick", bytes(range(256)), '{"n": "ü"}'.encode()]
    assert [each["state"] for each in (sick, binary, text)] == ["buried", "delayed", "ready"]
    assert (binary["pri"], binary["key"], binary["attempts"], binary["dead"]) == (
        4,
        "k",
        3,
        "graves",
    )
    assert 400 < float(str(binary["time-left"])) <= 500
    assert text["ttr"] == 2.5
    assert 800 < float(str(text["expires-in"])) <= 900


def test_import_into_another_tube_all_ready(stalk: Stalk, client: Client, exported: str) -> None:
    assert stalk("import", "--tube", "new", "--as", "ready", text=exported).code == 0
    assert {each["state"] for each in client.list_jobs("new").jobs} == {"ready"}


def test_a_second_import_puts_no_key_twice(stalk: Stalk, exported: str) -> None:
    stalk("import", text=exported)
    assert stalk("import", "--json", text=exported).json == {"imported": 2, "there": 1}


def test_a_file_with_a_wrong_line_imports_nothing(
    stalk: Stalk, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_text('{"body": "a", "tube": "mail"}\n\n{"body": 5, "tube": "mail"}\n')
    out = stalk("import", str(path))
    assert (out.code, out.out) == (1, "")
    assert "line 3 is no job: it needs" in out.err
    assert "0 jobs imported" in out.err
    assert "mail" not in [name for name in client.list_tubes() if name != client.list_tube_used()]


def test_import_goes_on_where_the_standard_input_is(
    client: Client, url: str, tmp_path: Path
) -> None:
    """The shell has read a line of the file before."""
    path = tmp_path / "jobs"
    path.write_text("a head\n" + '{"tube": "mail", "body": "x"}\n')
    with path.open("rb", buffering=0) as file:
        file.seek(len("a head\n"))
        process = start("import", "--url", url, stdin=file)
        out, err = process.communicate(timeout=20)
    assert (out, err) == (b"imported 1 job\n", b"")
    assert bodies_in(client, "mail") == [b"x"]


@pytest.mark.needs("beanstalkd")
def test_import_into_beanstalkd_is_plain_or_refused(
    run: Stalk, original: str, exported: str
) -> None:
    refused = run("import", "--url", original, text=exported)
    assert (refused.code, "--plain" in refused.err) == (5, True)
    assert run("import", "--plain", "--url", original, text=exported).code == 0
    with Client(original) as client:
        told = client.stats_tube("mail")
    assert [told[f"current-jobs-{state}"] for state in ("ready", "delayed", "buried")] == [1, 1, 1]


def test_export_into_a_file_that_appears_when_it_is_complete(
    stalk: Stalk, client: Client, tmp_path: Path
) -> None:
    for number in range(250):
        client.put(f"{number}")
    path = tmp_path / "jobs.jsonl"
    assert stalk("export", "mail", "-o", str(path)).out == f"exported 250 jobs of mail to {path}\n"
    assert [json.loads(line)["body"] for line in path.read_text().splitlines()] == [
        str(number) for number in range(250)
    ]
    assert [each.name for each in tmp_path.iterdir() if "jsonl" in each.name] == ["jobs.jsonl"]
    assert stalk("export", "nothing").code == 1
    assert stalk("export", "mail", "-o", "/proc/none/x").code == 1


def test_export_into_what_is_no_file_does_not_replace_it(
    stalk: Stalk, client: Client, tmp_path: Path
) -> None:
    client.put("x")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert stalk("export", "mail", "-o", str(fifo)).code == 0
    assert json.loads(os.read(reader, 65_536))["body"] == "x"
    os.close(reader)
    assert fifo.is_fifo()


def test_export_through_a_link_keeps_the_link(stalk: Stalk, client: Client, tmp_path: Path) -> None:
    client.put("x")
    link, path = tmp_path / "link", tmp_path / "jobs.jsonl"
    path.write_text("old")
    link.symlink_to(path)
    assert stalk("export", "mail", "-o", str(link)).code == 0
    assert link.is_symlink()
    assert json.loads(path.read_text())["body"] == "x"


@contextmanager
def breaking(server: Daemon, limit: int) -> Iterator[str]:
    """A way to a server that resets its connection after so many bytes from the client."""

    def relay() -> None:
        with (
            listener.accept()[0] as near,
            socket.create_connection((server.host, server.port)) as far,
        ):
            Thread(target=pump, args=(far, near), daemon=True).start()
            pump(near, far, limit)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def pump(source: socket.socket, sink: socket.socket, limit: int | None = None) -> None:
        passed = 0
        with suppress(OSError):  # The other direction has ended.
            while (limit is None or passed < limit) and (data := source.recv(4096)):
                sink.sendall(data)
                passed += len(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=relay, daemon=True)
        thread.start()
        yield f"stalkd://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def test_a_connection_that_breaks_is_not_the_fault_of_the_file(
    run: Stalk, server: Daemon, client: Client, tmp_path: Path
) -> None:
    for _ in range(5_000):
        client.put("x")
    with breaking(server, 10_000) as url:
        out = run("export", "mail", "-o", str(tmp_path / "jobs"), "--url", url)
    assert out.code == 3
    assert "lost the connection" in out.err
    assert not list(tmp_path.glob("*jobs*"))


@pytest.mark.parametrize("verb", ["put", "import"])
def test_how_many_were_put_is_told_when_the_connection_breaks(
    run: Stalk, server: Daemon, client: Client, verb: str
) -> None:
    line = '{"body": "x", "tube": "mail"}\n'
    words = ("put", "mail") if verb == "put" else ("import",)
    with breaking(server, 100_000) as url:
        out = run(*words, "--url", url, text=line * 20_000)
    assert out.code == 3
    certain = int(out.err.removeprefix("stalk: ").split()[0])
    assert f"{certain} jobs put for certain; of the next 500, some may have been\n" in out.err
    there = int(str(client.stats_tube("mail")["current-jobs-ready"]))
    assert 0 < certain <= there <= certain + 500
