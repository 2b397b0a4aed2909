"""ls, jobs, show, peek, stats, clients, top --json, rezero."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from stalkd_client import Client

from support.stalk import Stalk, bury


def test_ls_tells_how_many_jobs_are_where(stalk: Stalk, client: Client) -> None:
    bury(client, "a", "b")
    client.put("c")
    client.put("d", delay=60)
    (told,) = stalk("ls", "mail", "--json").lines
    counts = [told[f"current-jobs-{state}"] for state in ("ready", "reserved", "delayed", "buried")]
    assert counts == [1, 0, 1, 2]
    head, row = stalk("ls", "mail").out.splitlines()
    assert head.split()[:5] == ["TUBE", "READY", "RESERVED", "DELAYED", "BURIED"]
    assert row.split()[:5] == ["mail", "1", "0", "1", "2"]


def test_numbers_stand_to_the_right(stalk: Stalk, client: Client) -> None:
    for _ in range(10):
        client.put("x")
    head, default, mail = stalk("ls").out.splitlines()
    end = head.index("READY") + len("READY")
    assert (default[end - 2 : end], mail[end - 2 : end]) == (" 0", "10")


def test_ls_takes_a_pattern_and_an_order(stalk: Stalk, url: str) -> None:
    with Client(url) as client:
        for name, count in (("mail.a", 1), ("mail.b", 2), ("other", 3)):
            for _ in range(count):
                client.put("x", tube=name)
    names = [told["name"] for told in stalk("ls", "mail*", "--sort", "ready", "--json").lines]
    assert names == ["mail.b", "mail.a"]
    nothing = stalk("ls", "nothing*")
    assert (nothing.code, nothing.out) == (1, "")
    assert nothing.err == "stalk: no tube is called 'nothing*'\n"


def test_ls_is_the_same_on_both_servers(run: Stalk, either: str) -> None:
    with Client(either, use="mail") as client:
        client.put("x")
        told = {each["name"]: each for each in run("ls", "--url", either, "--json").lines}
    assert told["mail"]["current-jobs-ready"] == told["mail"]["inserted"] == 1


def test_rezero_counts_from_now_on_until_undone(stalk: Stalk, client: Client, home: Path) -> None:
    client.put("x")
    assert stalk("rezero", "mail").code == 0
    client.put("y")
    client.delete(client.reserve(0))
    assert [stalk("ls", "mail", "--json").json[key] for key in ("inserted", "completed")] == [1, 1]
    assert (home / "state" / "stalkd" / "rezero.json").exists()
    assert stalk("rezero", "--undo").code == 0
    assert stalk("ls", "mail", "--json").json["inserted"] == 2


def test_rezero_of_a_tube_that_is_not_there(stalk: Stalk) -> None:
    assert stalk("rezero", "nothing").code == 1


def test_jobs_are_listed_by_state(stalk: Stalk, client: Client) -> None:
    ids = bury(client, "a", "b")
    client.put("c")
    out = stalk("jobs", "mail", "--state", "buried", "--json")
    assert [told["id"] for told in out.lines] == ids
    assert {told["state"] for told in out.lines} == {"buried"}


def test_a_long_list_says_how_to_go_on(stalk: Stalk, client: Client) -> None:
    ids = [client.put(f"{number}") for number in range(60)]
    first = stalk("jobs", "mail")
    assert f"--after {ids[49]}" in first.err
    assert len(first.out.splitlines()) == 51
    assert len(stalk("jobs", "mail", "--after", ids[49]).out.splitlines()) == 11
    assert len(stalk("jobs", "mail", "--all", "--json").lines) == 60
    assert len(stalk("jobs", "mail", "--limit", 5, "--json").lines) == 5


def test_no_jobs_is_told(stalk: Stalk, client: Client) -> None:
    client.put("x")
    none = stalk("jobs", "mail", "--state", "buried")
    assert (none.code, none.err) == (1, "stalk: no job of mail is buried\n")


@pytest.mark.needs("beanstalkd")
def test_beanstalkd_shows_the_first_job_of_each_state(run: Stalk, original: str) -> None:
    with Client(original, use="mail", watch="mail") as client:
        buried, *_ = bury(client, "a", "b")
        ready = client.put("c")
    out = run("jobs", "mail", "--url", original)
    assert [line.split()[0] for line in out.out.splitlines()[1:]] == [str(ready), str(buried)]
    assert "lists no jobs" in out.err


def test_show_tells_numbers_reasons_and_a_pretty_body(stalk: Stalk, client: Client) -> None:
    (job,) = bury(client, '{"to": "you", "list": [1]}')
    out = stalk("show", job)
    assert out.code == 0
    assert "state          buried" in out.out
    assert "a client buried it" in out.out
    assert '  "to": "you",\n' in out.out
    told = stalk("show", job, "--json").json
    assert told["body"] == '{"to": "you", "list": [1]}'
    assert told["reasons"]


def test_ls_only_counts_the_records_of_failures(stalk: Stalk, client: Client) -> None:
    for tube in ("mail", "error.7", "error.12", "error.log"):
        client.use(tube)
        client.put("x")
    out = stalk("ls")
    assert {line.split()[0] for line in out.out.splitlines()[1:]} >= {"mail", "error.log"}
    assert "error.7" not in out.out
    assert "2 of 'error.*'" in out.err
    assert "error.12" in stalk("ls", "error.*").out


def test_show_tells_why_a_worker_put_a_job_aside(stalk: Stalk, client: Client) -> None:
    (job,) = bury(client, "14")
    record = {
        "exception": "ValueError",
        "message": "no fourteen \x1b[2J",
        "traceback": "Traceback:\n  line 1\n",
        "id": job,
        "queue": "mail",
        "task": "shop:double",
        "attempt": 3,
        "worker": "here:17",
    }
    client.use(f"error.{job}")
    client.put(json.dumps(record))
    out = stalk("show", job).out
    assert re.search(
        r"exception +ValueError\nmessage +no fourteen \\x1b\[2J\ntask +shop:double", out
    )
    assert out.endswith("Traceback:\n  line 1\n")
    assert stalk("show", job, "--json").json["error"] == record


def test_show_of_a_job_that_is_gone_tells_why_it_was_put_aside(
    stalk: Stalk, client: Client
) -> None:
    client.use("error.99")
    record = {"exception": "ValueError", "message": "no", "id": 99, "queue": "mail"}
    client.put(json.dumps(record))
    out = stalk("show", 99)
    assert (out.code, out.out.split()[:4]) == (0, ["exception", "ValueError", "message", "no"])
    assert "there is no job 99 any more" in out.err
    assert "`stalk purge error.99` deletes that" in out.err
    assert stalk("show", 99, "--json").json == {"id": 99, "error": record}
    assert stalk("show", 99, "--raw").code == 1
    assert stalk("purge", "error.99", "--yes").code == 0
    assert stalk("show", 99).err == "stalk: there is no job 99\n"


@pytest.mark.parametrize("body", ["{", "[]", '{"id": 0, "queue": "mail"}'])
def test_show_takes_no_record_of_another_job(stalk: Stalk, client: Client, body: str) -> None:
    (job,) = bury(client, "14")
    client.use(f"error.{job}")
    client.put(body)
    assert stalk("show", job).out.endswith("\n14\n")
    assert "error" not in stalk("show", job, "--json").json


def test_show_of_what_is_no_text(stalk: Stalk, client: Client) -> None:
    body = bytes(range(256))
    job = client.put(body)
    assert "00000010  10 11 12" in stalk("show", job).out
    assert stalk("show", job, "--json").json["body_base64"].startswith("AAECAw")


def test_no_body_gives_orders_to_the_terminal(stalk: Stalk, client: Client) -> None:
    job = client.put("\x1b[2J\x07 hello \x9b31m\r")
    for words in (("show", job), ("jobs", "mail"), ("peek", "mail")):
        out = stalk(*words).out
        assert not set(out) & {"\x1b", "\x07", "\x9b", "\r"}
        assert r"\x1b[2J\x07 hello" in out


def test_show_works_on_both_servers(run: Stalk, either: str) -> None:
    with Client(either, use="mail") as client:
        job = client.put("hello", priority=7)
    assert "hello\n" in run("show", job, "--url", either).out
    assert run("show", job, "--url", either, "--json").json["pri"] == 7
    assert run("show", job, "--url", either, "--raw").out == "hello"
    missing = run("show", 99, "--url", either)
    assert (missing.code, missing.err) == (1, "stalk: there is no job 99\n")


def test_peek_shows_the_first_of_a_state(run: Stalk, either: str) -> None:
    with Client(either, use="mail", watch="mail") as client:
        bury(client, "sick")
        client.put("late", delay=60)
        client.put("soon")
    for state, body in (("ready", "soon"), ("delayed", "late"), ("buried", "sick")):
        assert run("peek", "mail", "--state", state, "--raw", "--url", either).out == body
    assert run("peek", "empty", "--url", either).code == 1


def test_stats_of_the_server_and_of_a_tube(run: Stalk, either: str) -> None:
    with Client(either, use="mail") as client:
        client.put("x")
        assert run("stats", "--url", either, "--json").json["total-jobs"] == 1
        assert "current-jobs-ready     1" in run("stats", "mail", "--url", either).out
    assert run("stats", "nothing", "--url", either).code == 1


def test_clients_are_listed(stalk: Stalk, client: Client) -> None:
    client.put("x")
    client.reserve(0)
    found = [told for told in stalk("clients", "--json").lines if told["holds"] == 1]
    assert [told["watches"] for told in found] == [["mail"]]
    assert "producer+worker" in stalk("clients").out


def test_top_in_json_looks_twice(run: Stalk, either: str) -> None:
    with Client(either, use="mail") as client:
        client.put("x")
        out = run("top", "--json", "--interval", "0.1", "--sort", "ready", "--url", either)
    assert out.lines[0]["name"] == "mail"
    assert out.lines[0]["put_rate"] == 0


def test_top_without_a_terminal_says_so(stalk: Stalk) -> None:
    assert stalk("top").code == 2
