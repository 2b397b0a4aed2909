"""What workers do with jobs, with real processes against a real server."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from stalkd_client import Client, Handle, Queue, Tasks
from stalkd_client.command.worker_reports import all_workers
from stalkd_client.tasks.envelope import Envelope

from support.daemon import start_stalkd
from support.workers import CODE, wait_until, work_off, worker


def values(url: str, queue: str) -> list[object]:
    with Queue(queue, url) as made:
        return made.pop(100)


def push(url: str, queue: str, *all_values: object) -> list[int]:
    with Queue(queue, url) as made:
        return [made.push(value) for value in all_values]


def record_of(url: str, job_id: int) -> dict[str, object]:
    (record,) = values(url, f"error.{job_id}")
    assert isinstance(record, dict)
    return record


def count(url: str, queue: str, *states: str) -> int:
    with Queue(queue, url) as made:
        return made.count(*states)


def test_what_is_returned_goes_to_every_output(url: str, tube: str) -> None:
    push(url, tube, 1, 2, 3)
    work_off(url, "work:double", "-q", tube, "-o", f"{tube}.a", "-o", f"{tube}.b")
    assert values(url, f"{tube}.a") == values(url, f"{tube}.b") == [2, 4, 6]
    assert count(url, tube) == 0


def test_none_sends_nothing(url: str, tube: str) -> None:
    push(url, tube, 1)
    work_off(url, "work:nothing", "-q", tube, "-o", f"{tube}.out")
    assert count(url, f"{tube}.out") == count(url, tube) == 0


def test_each_element_is_sent_and_none_counts(url: str, tube: str) -> None:
    push(url, tube, "a b")
    work_off(url, "work:split", "-q", tube, "-o", f"{tube}.out", "--iter-output")
    assert values(url, f"{tube}.out") == ["a", "b", None]


def test_an_error_is_never_acknowledged(url: str, tube: str) -> None:
    """It is buried, with a record; and the exit code tells of it, if asked (failure 15)."""
    (job_id,) = push(url, tube, "this")
    options = ["--fail-on-error", "--no-report", "--name", "web-1"]
    done = work_off(url, "work:boom", "-q", tube, *options, code=3)
    assert count(url, tube, "buried") == count(url, tube) == 1
    record = record_of(url, job_id)
    assert (record["exception"], record["message"]) == ("ValueError", "cannot do this")
    assert (record["source_message"], record["queue"], record["attempt"]) == ("this", tube, 1)
    assert record["worker"] == "web-1"
    assert str(record["traceback"]).count("File") == 1
    assert "in boom" in str(record["traceback"])
    assert done.wait_for(" buried ").endswith('error="ValueError: cannot do this"')


def test_of_retries_that_are_used_up_the_cause_is_told(url: str, tube: str) -> None:
    (job_id,) = push(url, tube, "this")
    done = work_off(url, "work:retry_from", "-q", tube)
    assert done.wait_for("attempt=2").endswith(' error="ValueError: this"')
    record = record_of(url, job_id)
    assert (record["exception"], record["message"]) == ("ValueError", "this")
    trace = str(record["traceback"])
    assert "ValueError: this" in trace
    assert trace.endswith("stalkd_client.worker.Retry\n")
    (job_id,) = push(url, tube, "that")
    work_off(url, "work:retry_from", "-q", tube, "--on-error", f"ValueError={tube}.bad")
    (message,) = values(url, f"{tube}.bad")
    assert isinstance(message, dict)
    assert message["exception"] == "ValueError: that"


def test_an_error_without_a_message_is_its_name(url: str, tube: str) -> None:
    push(url, tube, "this")
    done = work_off(url, "work:retry", "-q", tube)
    assert done.wait_for(" buried ").endswith(" error=stalkd_client.worker.Retry")
    push(url, tube, "this")
    done = work_off(url, "-q", tube, "--exec", "false")
    assert done.wait_for(" buried ").endswith('Error: false: exit code 1"')


def test_the_newest_record_replaces_the_older(url: str, tube: str) -> None:
    (job_id,) = push(url, tube, "this")
    for _ in range(2):
        work_off(url, "work:boom", "-q", tube)
        with Queue(tube, url) as queue:
            queue.kick(1)
    assert record_of(url, job_id)["id"] == job_id


def test_errors_that_are_named_are_retried(url: str, tube: str) -> None:
    push(url, tube, "this")
    done = work_off(
        url, "work:boom", "-q", tube, "--retry-on", "LookupError", "--retry-on", "ValueError",
        "--max-retries", "2",
    )  # fmt: skip
    assert (done.count(" retried "), done.count(" buried ")) == (2, 1)


def test_the_worker_waits_for_what_it_has_put_off(url: str, tube: str) -> None:
    """In ``--burst``, a job that it retries with a delay is not left behind."""
    push(url, tube, "this")
    done = work_off(
        url, "work:told", "-q", tube, "-o", f"{tube}.out", "--retry-on", "KeyError",
        "--retry-delay", "0.4",
    )  # fmt: skip
    assert " delay=1.000" in done.wait_for(" retried ")  # A server has whole seconds.
    assert values(url, f"{tube}.out") == [{"retry": 1, "most": 3, "attempt": 2, "queue": tube}]
    assert done.count(" done ") == 1


@pytest.mark.parametrize(("handler", "retries"), [("retry", 2), ("retry_lowered", 1)])
def test_a_handler_may_ask_for_retries(url: str, tube: str, handler: str, retries: int) -> None:
    """Failure 8: a limit that is lowered on the way ends them."""
    push(url, tube, "this")
    done = work_off(url, f"work:{handler}", "-q", tube, "--max-retries", "9")
    assert (done.count(" retried "), done.count(" buried ")) == (retries, 1)


@pytest.mark.parametrize("delay", [-1, "soon", 1e999])
def test_a_retry_that_no_server_takes_is_an_error(url: str, tube: str, delay: object) -> None:
    push(url, tube, delay)
    done = work_off(url, "work:bad_retry", "-q", tube)
    assert "Error: " in done.wait_for(" buried ")
    assert not done.count("process-died")


@pytest.mark.parametrize("ttl", ["NaN", "1e999", "-5", "0"])
def test_a_reply_ttl_that_no_server_takes_is_replaced(url: str, tube: str, ttl: str) -> None:
    """And what the body of the reply says is never taken for a command."""
    with Client(url, use=tube) as client:
        body = f'{{"task": "work.add", "args": [1, 2], "reply": "{tube}.r", "reply_ttl": {ttl}}}'
        for _ in range(2):
            client.put(body)
    done = work_off(url, "work", "-q", tube)
    assert done.count(" done ") == 2
    assert [reply["value"] for reply in values(url, f"{tube}.r")] == [3, 3]  # type: ignore[index]


def test_no_retries_are_none(url: str, tube: str) -> None:
    """Failure 8: max_retries 0."""
    push(url, tube, "this")
    done = work_off(url, "work:boom", "-q", tube, "--retry-on", "Exception", "--max-retries", "0")
    assert (done.count(" retried "), done.count(" buried ")) == (0, 1)


def test_errors_are_routed_by_class(url: str, tube: str) -> None:
    push(url, tube, [1, "ü"])
    work_off(
        url, "work:boom", "-q", tube, "--on-error", f"Exception={tube}.any",
        "--on-error", f"ValueError={tube}.values",
    )  # fmt: skip
    (message,) = values(url, f"{tube}.values")
    assert isinstance(message, dict)
    assert sorted(message) == ["cur_retry", "exception", "source_message", "traceback"]
    assert (message["source_message"], message["cur_retry"]) == ([1, "ü"], 0)
    assert count(url, tube) == count(url, f"{tube}.any") == 0


def test_a_handler_that_exits_has_failed(url: str, tube: str) -> None:
    push(url, tube, "this")
    done = work_off(url, "work:shut", "-q", tube)
    assert 'error="SystemExit: 3"' in done.wait_for(" buried ")


def test_what_cannot_be_read_is_parked(url: str, tube: str) -> None:
    """Failure 4: broken JSON is buried with the reason, and the worker lives."""
    with Client(url, use=tube) as client:
        bad = client.put(b"{not json \xff")
        client.put(b"2")
    work_off(url, "work:double", "-q", tube, "-o", f"{tube}.out")
    assert values(url, f"{tube}.out") == [4]
    record = record_of(url, bad)
    assert record["source_base64"]
    assert count(url, tube, "buried") == 1


def test_a_record_fits_whatever_the_body_is(url: str, tube: str) -> None:
    (job_id,) = push(url, tube, "\x01" * 10_000)
    work_off(url, "work:boom", "-q", tube)
    assert record_of(url, job_id)["source_bytes"] == 60_002


def test_a_message_of_an_error_that_is_too_large_is_buried(url: str, tube: str) -> None:
    (job_id,) = push(url, tube, "x" * 65_000)
    work_off(url, "work:boom", "-q", tube, "--on-error", f"ValueError={tube}.bad")
    assert record_of(url, job_id)["exception"] == "ValueError"
    assert count(url, tube, "buried") == 1


def test_what_cannot_be_written_is_parked(url: str, tube: str) -> None:
    push(url, tube, 1)
    done = work_off(url, "work:Stateful", "-q", tube, "-o", f"{tube}.out", "--codec", "bytes")
    assert "codec 'bytes' takes bytes" in done.wait_for(" buried ")


def test_tasks_are_run_and_answered(url: str, tube: str) -> None:
    tasks = Tasks(url=url, queue=tube, result=True)
    good: Handle[int] = tasks.remote_task("work.add").delay(1, 2)
    bad: Handle[None] = tasks.remote_task("work.fail").delay("no")
    unknown: Handle[None] = tasks.remote_task("os.getcwd").delay()
    wrong: Handle[None] = tasks.remote_task("work.add").delay(1)
    with worker(url, "work:*", "-q", tube) as made:
        assert good.result(10) == 3
        assert bad.wait(10) == unknown.wait(10) == wrong.wait(10) == "failed"
        assert made.stop() == 0
    assert "task=work.fail" in made.wait_for("LookupError: no")
    assert made.wait_for("UnknownTaskError")
    tasks.close()


def test_unknown_tasks_are_parked(url: str, tube: str) -> None:
    """Failure 4: they are buried, nothing is imported for them, and the worker lives."""
    with Client(url, use=tube) as client:
        client.put(Envelope("antigravity.fly").encode())
        client.put(b"[]")
        client.put(Envelope("work.add", (1, 2)).encode())
    done = work_off(url, "work", "-q", tube)
    assert (done.count(" buried "), done.count(" done ")) == (2, 1)


def test_queues_are_those_of_the_tasks(url: str) -> None:
    """The same setting reaches producer and worker: STALKD_URL (failure 17)."""
    tasks = Tasks(url=url)
    tasks.remote_task("work.add").delay(1, 2)
    done = work_off(url, "work")
    assert "queues=work.add,work.fail" in done.wait_for(" working ")
    assert done.count(" done ") == 1
    tasks.close()


def test_an_object_keeps_its_state(url: str, tube: str, tmp_path: Path) -> None:
    push(url, tube, 1, {"end": str(tmp_path / "end")})
    work_off(url, "work:Stateful", "-q", tube, "-o", f"{tube}.out")
    last = {"end": str(tmp_path / "end")}
    assert values(url, f"{tube}.out") == [["pre", 1], ["pre", 1, last]]
    assert (tmp_path / "end").read_text() == "post"


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("work:BadStart", "no database today"),
        ("work:missing", "work has no missing"),
        ("nowhere:at_all", "No module named"),
        ("json", "has no tasks"),
        ("work:CODE", "has no CODE"),
        ("work:NoHandler", "give the class a message_handler"),
        ("work:takes_nothing", "cannot be called with one message"),
        ("work:takes_two", "cannot be called with one message"),
        ("work:TakesNothing", "message_handler() -> 'None' cannot be called with one message"),
        ("work:doubel", "work has no doubel: did you mean double?"),
        ("work.double", "there is no module work.double: did you mean work:double?"),
        ("work.doubel", "there is no module work.doubel: did you mean work:double?"),
    ],
)
def test_a_handler_that_cannot_begin_ends_the_worker(
    url: str, tube: str, handler: str, reason: str
) -> None:
    """Failure 4: at the start an import error is said, with an exit code, and takes no job."""
    push(url, tube, 1)
    with worker(url, handler, "-q", tube) as made:
        assert made.wait() == 1
    assert reason in made.wait_for("handler-refused")
    assert count(url, tube, "ready") == 1
    # Only of what this code does there is a traceback, and none of our frames are in it.
    files = [line.split('"')[1] for line in made.log if line.startswith('  File "')]
    assert files == ([str(CODE / "work.py")] if handler == "work:BadStart" else [])
    assert made.count("Traceback") == len(files)


def test_an_exception_that_is_not_there_is_guessed(url: str, tube: str) -> None:
    for name, hint in (("OSEror", "OSError"), ("work.Odity", "work.Oddity"), ("nowhere.X", "")):
        with worker(url, "work:double", "-q", tube, "--retry-on", name) as made:
            assert made.wait() == 1
        assert f"there is no exception {name}: " in made.wait_for("handler-refused")
        assert hint in made.wait_for("handler-refused")
        assert made.count("Traceback") == 0


def test_a_program_that_is_not_there_ends_the_worker(url: str, tube: str) -> None:
    """And takes no job, which would only be buried."""
    push(url, tube, 1)
    with worker(url, "--exec", "./no/such/program -x", "-q", tube) as made:
        assert made.wait() == 1
    assert "there is no program ./no/such/program" in made.wait_for("handler-refused")
    assert count(url, tube, "ready") == 1


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        (["--before", "work:NoHandler"], "is a class"),
        (["--after", "work:takes_nothing"], "cannot be called with one context"),
    ],
)
def test_a_hook_that_cannot_be_called_ends_the_worker(
    url: str, tube: str, hook: list[str], reason: str
) -> None:
    with worker(url, "work:double", "-q", tube, *hook) as made:
        assert made.wait() == 1
    assert reason in made.wait_for("handler-refused")


@pytest.mark.parametrize(("handler", "backend"), [("later", "asyncio"), ("trio_later", "trio")])
def test_async_handlers_run_together(url: str, tube: str, handler: str, backend: str) -> None:
    push(url, tube, *range(20))
    began = time.monotonic()
    work_off(
        url, f"work:{handler}", "-q", tube, "-o", f"{tube}.out", "-c", "20",
        "--async-backend", backend,
    )  # fmt: skip
    assert sorted(map(str, values(url, f"{tube}.out"))) == sorted(map(str, range(1, 21)))
    assert time.monotonic() - began < 20 * 0.2


@pytest.mark.parametrize("handler", ["cancelled", "async_shut"])
def test_what_an_async_handler_raises_is_its_own(url: str, tube: str, handler: str) -> None:
    """It ends neither the event loop nor the other jobs in it."""
    push(url, tube, 1)
    done = work_off(url, f"work:{handler}", "-q", tube, "-c", "2")
    assert done.count(" buried ") == 1
    assert not done.count("process-died")


def test_threads_run_together(url: str, tube: str) -> None:
    push(url, tube, *[0.2] * 20)
    began = time.monotonic()
    done = work_off(url, "work:sleep", "-q", tube, "-c", "20")
    assert done.count(" done ") == 20
    assert time.monotonic() - began < 20 * 0.2


def test_a_program_is_a_handler(url: str, tube: str) -> None:
    with Client(url, use=tube) as client:
        for body in (b"a\n", b"b\n"):
            client.put(body)
    done = work_off(
        url, "--exec", "sh -c 'tr a-z A-Z; echo $STALKD_JOB_ATTEMPT'", "-q", tube,
        "-o", f"{tube}.out", "--iter-output",
    )  # fmt: skip
    assert done.count(" done ") == 2
    with Queue(f"{tube}.out", url, codec="bytes") as queue:
        assert queue.pop(10) == [b"A", b"1", b"B", b"1"]


def test_the_exit_code_of_a_program_decides(url: str, tube: str) -> None:
    (job_id,) = push(url, tube, 1)
    work_off(url, "--exec", "sh -c 'echo broken >&2; exit 9'", "-q", tube)
    assert record_of(url, job_id)["message"] == "sh: exit code 9: broken"


def test_large_jobs_and_outputs(tube: str) -> None:
    """Beyond what a packet takes, both ways."""
    with start_stalkd("-z", "4000000") as daemon:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        push(url, tube, "x" * 1_000_000, "y" * 100_000)
        work_off(url, "work:double", "-q", tube, "-o", f"{tube}.out")
        found = [*values(url, f"{tube}.out"), *values(url, f"{tube}.out")]  # A batch is limited.
        assert [len(str(each)) for each in found] == [2_000_000, 200_000]


def test_an_output_that_is_too_large_buries_the_job(url: str, tube: str) -> None:
    (job_id,) = push(url, tube, "x" * 40_000)
    done = work_off(url, "work:double", "-q", tube, "-o", f"{tube}.out")
    assert "JobTooBigError" in done.wait_for(" buried ")
    record = record_of(url, job_id)
    assert (record["exception"], record["source_bytes"]) == ("JobTooBigError", 40_002)


def test_an_output_for_which_there_is_no_room_keeps_the_job(url: str, tube: str) -> None:
    push(url, tube, 1)
    with Client(url, use=f"{tube}.out") as client:
        client.put(b"0")
        client.set_policy(f"{tube}.out", max_jobs=1)
        with worker(url, "work:double", "-q", tube, "-o", f"{tube}.out") as made:
            made.wait_for(" refused ")
            assert client.stats_tube(tube)["current-jobs-delayed"] == 1
            client.set_policy(f"{tube}.out", max_jobs=0)
            made.wait_for(" done ")
            assert made.stop() == 0
    assert values(url, f"{tube}.out") == [0, 2]


def test_lines_may_be_json(url: str, tube: str) -> None:
    push(url, tube, 1)
    done = work_off(url, "work:boom", "-q", tube, "--log-format", "json")
    lines = [json.loads(line) for line in done.log]
    (line,) = [each for each in lines if each["event"] == "buried"]
    assert (line["queue"], line["level"], line["attempt"]) == (tube, "error", 1)


def test_a_line_tells_how_it_goes(url: str, tube: str) -> None:
    push(url, tube, 1, 2)
    done = work_off(url, "work:double", "-q", tube, "--live")
    assert not done.count(" done queue=")
    assert "0 failed, " in done.told()
    assert "of 1 slots busy" in done.told()
    assert " stopped done=2" in done.told()


def test_a_handler_may_declare_what_it_needs(url: str) -> None:
    push(url, "declared", 1, "bad")
    done = work_off(url, "work:declares")
    assert values(url, "declared.out") == [1]
    assert (done.count(" retried "), done.count(" buried ")) == (1, 1)


def test_the_command_line_wins(url: str, tube: str) -> None:
    push(url, tube, 1, "bad")
    options = ["-q", tube, "-o", f"{tube}.out", "--max-retries", "0"]
    done = work_off(url, "work:declares", *options)
    assert (values(url, f"{tube}.out"), values(url, "declared.out")) == ([1], [])
    assert (done.count(" retried "), done.count(" buried ")) == (0, 1)


def test_queues_that_appear_later_are_served(url: str, tube: str) -> None:
    """Failure 16: patterns are looked at again and again."""
    push(url, f"{tube}.a", 1)
    with worker(url, "work:double", "-q", f"{tube}.*", "-c", "2") as made:
        made.wait_for(" done ")
        push(url, f"{tube}.b", 2)
        made.wait_for(f"queue={tube}.b")
        assert made.stop() == 0


def test_a_pattern_may_match_nothing_yet(url: str, tube: str) -> None:
    with worker(url, "work:double", "-q", f"{tube}.*") as made:
        made.wait_for(" working ")
        push(url, f"{tube}.a", 1)
        push(url, "default", "not for us")
        made.wait_for(f"queue={tube}.a")
        assert made.stop() == 0
    assert made.count(" done ") == 1
    assert values(url, "default") == ["not for us"]


def test_a_burst_does_what_patterns_mean(url: str, tube: str) -> None:
    """Also if there is no other queue, and in the queues that it makes itself by its outputs."""
    push(url, f"{tube}.a", 1, 2)
    push(url, f"{tube}.b", 3)
    done = work_off(url, "work:double", "-q", f"{tube}.[ab]", "-o", f"{tube}.out")
    assert done.count(" done ") == 3
    push(url, f"{tube}.c", "a b")
    options = ["-q", f"{tube}.[cd]", "-o", f"{tube}.d", "--iter-output"]
    done = work_off(url, "work:split_twice", *options, "--stop-after", "9")
    assert done.count(" done ") == 1 + 2, "first 'a b', and then each word of it"
    assert work_off(url, "work:double", "-q", f"{tube}.nothing.*").count(" done ") == 0


def test_what_workers_leave_is_no_job(url: str, tube: str) -> None:
    """Failures have records: if these were jobs, each would fail, and have a record, and so on."""
    push(url, tube, "this")
    done = work_off(url, "work:boom", "-q", tube, "-q", "error.*")
    assert done.count(" buried ") == 1


def test_so_many_jobs_and_no_more(url: str, tube: str) -> None:
    push(url, tube, *range(20))
    with worker(url, "work:double", "-q", tube, "-c", "3", "--stop-after", "7") as made:
        assert made.wait() == 0
    assert (made.count(" done "), count(url, tube, "ready")) == (7, 13)


def test_it_stops_when_idle(url: str, tube: str) -> None:
    push(url, tube, 1)
    with worker(url, "work:double", "-q", tube, "--idle-exit", "0.2") as made:
        assert made.wait() == 0
    assert made.count(" done ") == 1


@pytest.mark.needs("beanstalkd")
def test_the_original_server_will_do(original: str, tube: str) -> None:
    """What only stalkd has is asked for in other words."""
    push(original, tube, *range(30))
    (bad,) = push(original, f"{tube}.bad", 1)
    work_off(original, "work:double", "-q", tube, "-o", f"{tube}.out", "-c", "2")
    work_off(
        original, "work:boom", "-q", f"{tube}.bad", "--retry-on", "ValueError",
        "--max-retries", "1",
    )  # fmt: skip
    with Client(original, watch=f"{tube}.out") as client:
        found = sorted(int(client.reserve(0).body) for _ in range(30))
        assert found == [2 * number for number in range(30)]
        client.use(f"error.{bad}")
        assert json.loads(client.peek_ready().body)["attempt"] == 2


def test_nothing_is_asked_of_the_server_while_there_is_nothing_to_do(url: str, tube: str) -> None:
    """Failure 2: a worker that waits makes no traffic."""

    def commands(client: Client) -> int:
        told = client.stats()
        names = [name for name in told if name.startswith("cmd-") and name != "cmd-stats"]
        return sum(int(str(told[name])) for name in names)

    with Client(url) as client, worker(url, "work:double", "-q", tube, "-c", "3") as made:
        made.wait_for(" working ")

        def waiting() -> bool:
            is_told = [each.text("state") for each in all_workers(client)] == ["working"]
            is_there = is_told and tube in client.list_tubes()
            return is_there and client.stats_tube(tube)["current-waiting"] == 3

        wait_until(waiting)
        before = commands(client)
        time.sleep(1.5)  # Nothing can be waited for: it is about what does not happen.
        assert commands(client) == before
        assert made.stop() == 0


ODD = ["odd", "interrupt", "exit", "closed"]


@pytest.mark.parametrize("slots", ["1", "3"])
@pytest.mark.parametrize(
    "handler", [["raises_odd"], ["async_raises_odd"], ["async_raises_odd", "trio"]]
)
def test_whatever_a_handler_raises_is_its_own_error(
    url: str, tube: str, handler: list[str], slots: str
) -> None:
    """What ends programs elsewhere buries one job here: the others go on in the same process."""
    name, *backend = handler
    push(url, tube, *ODD, *range(5))
    options = ["--async-backend", *backend] if backend else []
    done = work_off(url, f"work:{name}", "-q", tube, "-c", slots, *options)
    assert (done.count(" buried "), done.count(" done ")) == (len(ODD), 5)
    assert not done.count("process-")
