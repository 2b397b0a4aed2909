"""What dies, and what becomes of its jobs then: children, the supervisor, the server."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from stalkd_client import Client, NotFoundError, Queue
from stalkd_client.worker.slots.pace import SLOW_S
from stalkd_client.worker.slots.pulse import GAP_S

from support.daemon import start_stalkd
from support.workers import COMMAND, can_unshare, is_alive, wait_until, work_off, worker


def push(url: str, queue: str, *values: object) -> list[int]:
    with Queue(queue, url) as made:
        return [made.push(value) for value in values]


def count(url: str, queue: str, *states: str) -> int:
    with Queue(queue, url) as made:
        return made.count(*states)


@pytest.mark.parametrize(
    ("then", "cause"),
    [("leave", "exit code 7"), ("crash", "killed by SIGSEGV"), ("kill", "killed by SIGKILL")],
)
def test_a_job_that_kills_its_process_is_parked(
    url: str, tube: str, tmp_path: Path, then: str, cause: str
) -> None:
    """Failures 3 and 10: tried again at once, counted, buried at last; the worker goes on."""
    ledger = tmp_path / "ledger"
    (bad,) = push(url, tube, [str(ledger), "bad", then])
    push(url, tube, [str(ledger), "good", ""])
    done = work_off(url, "work:note", "-q", tube, "--attempts", "3")
    lines = ledger.read_text().split()
    assert sorted(lines) == ["bad", "bad", "bad", "good"]
    assert (done.count(" done "), done.count(" buried ")) == (1, 1)
    assert done.count(f'cause="{cause}"') >= 3
    with Queue(f"error.{bad}", url) as queue:
        (record,) = queue.pop(1)
    assert cause in record["message"]
    assert record["attempt"] == 3


def test_what_a_dead_process_has_forked_does_not_hide_its_death(url: str, tube: str) -> None:
    """Failure 10: nothing hangs."""
    push(url, tube, 1)
    done = work_off(url, "work:fork_and_leave", "-q", tube, "--attempts", "2")
    assert (done.count(" retried "), done.count(" buried ")) == (1, 1)


def test_jobs_that_had_not_begun_are_no_worse_off(url: str, tube: str, tmp_path: Path) -> None:
    """Those behind a job that kills the process are taken back, and count no attempt."""
    ledger = tmp_path / "ledger"
    rows = [[str(ledger), f"good{number}", ""] for number in range(60)]
    rows[40] = [str(ledger), "bad", "leave"]
    push(url, tube, *rows)
    done = work_off(url, "work:note", "-q", tube)
    lines = ledger.read_text().split()
    assert lines.count("bad") == 3
    assert sorted(set(lines)) == sorted({row[1] for row in rows})
    assert len(lines) == 62  # Nothing ran twice but the bad one.
    assert done.count(" buried ") == 1


def test_other_jobs_of_the_process_are_tried_again(url: str, tube: str, tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    push(url, tube, [str(begun), str(go)])
    with worker(url, "work:wait_for_file", "-q", tube, "-c", "2", "-o", f"{tube}.out") as made:
        pid = int(wait_until(lambda: begun.exists() and begun.read_text()))
        os.kill(pid, signal.SIGKILL)
        made.wait_for("process-died")
        go.touch()
        made.wait_for(" done ")
        assert made.stop() == 0
    assert count(url, f"{tube}.out") == 1


def test_children_end_with_the_supervisor(url: str, tube: str, tmp_path: Path) -> None:
    """Even where the handler holds the GIL; and the job is ready at once."""
    push(url, tube, 40)
    with worker(url, "work:hold_gil", "-q", tube) as made:
        wait_until(lambda: count(url, tube, "reserved"))
        (child,) = made.children()
        wait_until(lambda: _cpu(child) > 0.3)
        made.kill()
        wait_until(lambda: not is_alive(child))
        wait_until(lambda: count(url, tube, "ready"))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def test_programs_end_with_the_supervisor(url: str, tube: str, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    push(url, tube, 1)
    with worker(url, "--exec", f"sh -c 'echo $$ >{path}; exec sleep 1000'", "-q", tube) as made:
        pid = int(wait_until(lambda: path.exists() and path.read_text()))
        made.kill()
        wait_until(lambda: not is_alive(pid))


def test_a_handler_that_holds_the_gil_keeps_its_lease(url: str, tube: str) -> None:
    """Failure 7: a TTR shorter than the handler."""
    with Queue(tube, url) as queue:
        queue.push(1.8, ttr=1)
    with worker(url, "work:busy", "-q", tube, "-o", f"{tube}.out") as made:
        made.wait_for(" done ")
        assert made.stop() == 0
    assert (count(url, tube), count(url, f"{tube}.out")) == (0, 1)


def test_a_lost_lease_is_reported(url: str, tube: str, tmp_path: Path) -> None:
    """Failure 7: what is done too late is not stored, and said; another attempt does it."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    push(url, tube, [str(begun), str(go)])
    with worker(url, "work:wait_for_file", "-q", tube, "-o", f"{tube}.out") as made:
        wait_until(begun.exists)
        with Client(url) as client:
            assert client.release_tube(tube) == 1
            job = client.watch(tube) and client.reserve(5)
            go.touch()
            made.wait_for(" lost ")
            assert count(url, f"{tube}.out") == 0 or made.count("NOT_FOUND") == 1
            client.release(job)
        made.wait_for(" done ")
        assert made.stop() == 0


def test_a_worker_that_was_frozen_stores_nothing(url: str, tube: str, tmp_path: Path) -> None:
    """Failure 7, seen by the clock: no heartbeat for longer than the TTR."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    with Queue(tube, url) as queue:
        queue.push([str(begun), str(go)], ttr=1)
    with worker(url, "work:wait_for_file", "-q", tube, "-o", f"{tube}.out") as made:
        wait_until(begun.exists)
        made.signal(signal.SIGSTOP)
        with Client(url, watch=tube) as client:
            job = client.reserve(10)
            go.touch()
            time.sleep(0.1)  # The child's result is to be there before the supervisor wakes.
            made.signal(signal.SIGCONT)
            made.wait_for(" lost ")
            assert count(url, f"{tube}.out") == 0
            client.release(job)
        made.wait_for(" done ")
        assert made.stop() == 0
    assert count(url, f"{tube}.out") == 1


def test_a_job_that_came_while_the_worker_was_frozen_is_not_begun(
    url: str, tube: str, tmp_path: Path
) -> None:
    """Failure 7: its lease was over before anybody could look at it."""
    ledger = tmp_path / "ledger"
    with worker(url, "work:note", "-q", tube) as made:
        wait_until(lambda: _waiting(url, tube) == 1)
        made.signal(signal.SIGSTOP)
        with Queue(tube, url) as queue:
            queue.push([str(ledger), "ran", ""], ttr=2)
        with Client(url, watch=tube) as client:
            job = client.reserve(10)
            time.sleep(GAP_S / 2)  # A stop must be longer than this to show.
            client.touch(job)
            made.signal(signal.SIGCONT)
            wait_until(lambda: _waiting(url, tube) == 1)  # It has looked, and waits again.
            assert not ledger.exists()
            client.release(job)
        made.wait_for(" done ")
        assert made.stop() == 0
    assert ledger.read_text() == "ran\n"


def test_a_slow_job_holds_up_no_other(url: str, tube: str, tmp_path: Path) -> None:
    """Failure 6: what was taken together with it, and has not begun, goes to others."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    rows: list[object] = list(range(300))
    rows[150] = [str(begun), str(go)]
    push(url, tube, *rows)
    with worker(url, "work:quick_or_wait", "-q", tube, "-c", "2", "-o", f"{tube}.out") as made:
        wait_until(lambda: count(url, f"{tube}.out") == 299)
        assert not go.exists()
        assert count(url, tube) == 1
        go.touch()
        wait_until(lambda: count(url, f"{tube}.out") == 300)
        assert made.stop() == 0


@pytest.mark.parametrize("stop", [False, True])
def test_no_job_dies_of_having_been_taken_too_early(
    url: str, tube: str, tmp_path: Path, *, stop: bool
) -> None:
    """Where each reserve is an attempt, a job is not given back if that were its end."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    rows: list[object] = list(range(200))
    rows[100] = [str(begun), str(go)]
    with Client(url) as client:
        client.set_policy(tube, attempts=1, dead=f"{tube}.dead")
    push(url, tube, *rows)
    with worker(url, "work:quick_or_wait", "-q", tube, "-o", f"{tube}.out") as made:
        wait_until(begun.exists)
        time.sleep(3 * SLOW_S)  # What waits behind it is looked at by then.
        held = count(url, tube, "reserved")
        if stop:
            made.signal(signal.SIGTERM)
            made.wait_for("stopping")
        go.touch()
        done = 100 + held if stop else 200
        wait_until(lambda: count(url, f"{tube}.out") == done)
        assert (made.wait() if stop else made.stop()) == 0
    assert held > 1
    assert (count(url, f"{tube}.dead"), count(url, tube)) == (0, 200 - done)


def test_a_slow_queue_does_not_starve_a_fast_one(url: str, tube: str, tmp_path: Path) -> None:
    """Failure 6: queues may have slots of their own."""
    slow, fast = f"{tube}.slow", f"{tube}.fast"
    for number in range(3):
        push(url, slow, [str(tmp_path / f"begun{number}"), str(tmp_path / "go")])
    options = ["-q", f"{slow}=1", "-q", f"{fast}=1", "-o", f"{tube}.out"]
    with worker(url, "work:quick_or_wait", *options) as made:
        wait_until((tmp_path / "begun0").exists)
        push(url, fast, *range(50))
        wait_until(lambda: count(url, f"{tube}.out") == 50)
        (tmp_path / "go").touch()
        wait_until(lambda: count(url, f"{tube}.out") == 53)
        assert made.stop() == 0


def test_the_time_limit_kills(url: str, tube: str) -> None:
    push(url, tube, 60)
    done = work_off(url, "work:sleep", "-q", tube, "--time-limit", "0.3", "--attempts", "2")
    assert done.count("time limit of 0.3 s") >= 2
    for line in (done.wait_for(" retried "), done.wait_for(" buried ")):
        assert 0.3 <= float(line.split("seconds=")[1].split()[0]) < 30
    assert count(url, tube, "buried") == 1


def test_a_handler_may_ask_for_more_time(url: str, tube: str) -> None:
    push(url, tube, 0.8)
    done = work_off(url, "work:over_limit", "-q", tube, "--time-limit", "0.4")
    assert done.count(" done ") == 1


@pytest.mark.parametrize(("handler", "slots"), [("sleep", 1), ("naps", 2), ("async_forever", 1)])
def test_the_soft_time_limit_raises(url: str, tube: str, handler: str, slots: int) -> None:
    push(url, tube, 50)
    done = work_off(
        url, f"work:{handler}", "-q", tube, "--soft-time-limit", "0.2", "-c", str(slots)
    )
    assert "SoftTimeLimitError" in done.wait_for(" buried ")
    assert not done.count("process-died")


def test_processes_are_recycled(url: str, tube: str, tmp_path: Path) -> None:
    push(url, tube, *range(25))
    with worker(
        url, "work:pid", "-q", tube, "-o", f"{tube}.out", "--max-jobs", "10", "--prefetch", "1"
    ) as made:
        made.wait_for(" done ", 25)
        made.wait_for("process-recycled")
        assert made.stop() == 0
    with Queue(f"{tube}.out", url) as queue:
        assert len(set(queue.pop(100))) >= 2


def test_old_processes_are_recycled(url: str, tube: str) -> None:
    """Also while they wait for jobs."""
    with worker(url, "work:double", "-q", tube, "--max-age", "0.2") as made:
        made.wait_for("process-recycled", 2)
        push(url, tube, 1)
        made.wait_for(" done ")
        assert made.stop() == 0


def test_processes_that_have_grown_are_recycled(url: str, tube: str) -> None:
    with worker(url, "work:double", "-q", tube, "--max-memory", "1000") as made:
        for number in range(1, 3):
            push(url, tube, number)
            made.wait_for(" done ", number)
            made.wait_for("process-recycled", number)
        assert made.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_worker_stops_at_once(url: str, tube: str, number: signal.Signals) -> None:
    """Failures 1 and 5: and no job is lost or held."""
    with worker(url, "work:double", "-q", tube, "-c", "4") as made:
        made.wait_for(" working ")
        wait_until(lambda: _waiting(url, tube) == 4)
        began = time.monotonic()
        made.signal(number)
        assert made.wait() == 0
        assert time.monotonic() - began < 1.0
    push(url, tube, 1)
    assert (count(url, tube, "ready"), count(url, tube)) == (1, 1)


def _waiting(url: str, tube: str) -> int:
    with Queue(tube, url) as queue:
        return int(str(queue.info().get("current-waiting", 0)))


@pytest.mark.skipif(not can_unshare(), reason="needs a process namespace of its own")
def test_it_may_be_process_1(url: str, tube: str) -> None:
    """Failure 10: it sees off the processes that others have left to it."""
    command = ["unshare", "-fp", "--kill-child", "--mount-proc", *COMMAND]
    options = ["-q", tube, "-o", f"{tube}.out"]
    with worker(url, "work:leave_orphans", *options, command=command) as made:
        push(url, tube, "make")
        made.wait_for(" done ")
        wait_until(lambda: _zombies(url, tube) == 0)
        made.kill()


def _zombies(url: str, tube: str) -> int:
    with Queue(f"{tube}.out", url) as outputs:
        outputs.pop(10)
        push(url, tube, "count")
        (found,) = outputs.pop(1, timeout=10)
        return int(found)


def test_stopping_finishes_what_runs(url: str, tube: str, tmp_path: Path) -> None:
    """... and takes nothing new; what waited behind is given back."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    push(url, tube, [str(begun), str(go)], 2, 3)
    with worker(url, "work:quick_or_wait", "-q", tube, "-o", f"{tube}.out") as made:
        wait_until(begun.exists)
        made.signal(signal.SIGTERM)
        made.wait_for("stopping")
        go.touch()
        assert made.wait() == 0
    assert (count(url, f"{tube}.out"), count(url, tube, "ready"), count(url, tube)) == (1, 2, 2)


@pytest.mark.parametrize("second", [True, False])
def test_a_second_signal_gives_all_back(
    url: str, tube: str, tmp_path: Path, *, second: bool
) -> None:
    """So does the end of --grace."""
    begun = tmp_path / "begun"
    push(url, tube, [str(begun), str(tmp_path / "go")])
    grace = "100" if second else "0.2"
    with worker(url, "work:wait_for_file", "-q", tube, "--grace", grace) as made:
        wait_until(begun.exists)
        made.signal(signal.SIGTERM)
        made.wait_for("stopping")
        if second:
            made.signal(signal.SIGTERM)
        assert made.wait() == 4
    assert (count(url, tube, "ready"), count(url, tube)) == (1, 1)


def test_the_server_may_come_later(tube: str, tmp_path: Path) -> None:
    """Failure 13: the worker waits for it, and says so once."""
    path = tmp_path / "s"
    url = f"unix:{path}"
    with worker(url, "work:double", "-q", tube, "-c", "3") as made:
        made.wait_for("server-away")
        with start_stalkd(unix=str(path)):
            push(url, tube, 1)
            made.wait_for(" done ")
            assert made.count("server-away") == made.count("server-back") == 1
            assert made.stop() == 0


def test_a_worker_without_a_server_stops(tube: str, tmp_path: Path) -> None:
    with worker(f"unix:{tmp_path / 's'}", "work:double", "-q", tube) as made:
        made.wait_for("server-away")
        assert made.stop() == 0


@pytest.mark.timeout(120)
def test_the_server_may_crash_under_load(tube: str, tmp_path: Path) -> None:
    """Failures 9, 12 and 13: with -b -f 0 nothing is lost, whatever dies.

    The ledger: an output is there for each input that is gone, and at least one in the end.
    """
    jobs = 600
    log, path = str(tmp_path / "log"), tmp_path / "s"
    url = f"unix:{path}"
    options = ["work:double", "-q", tube, "-o", f"{tube}.out", "-c", "2", "--log-level", "warning"]
    with worker(url, *options) as made:
        for round_number in range(4):
            with start_stalkd("-b", log, "-f", "0", unix=str(path)) as daemon:
                if not round_number:
                    push(url, tube, *range(jobs))
                share = jobs * (round_number + 1) // 5
                _wait_for_outputs(url, tube, share)
                daemon.kill()
                path.unlink(missing_ok=True)
            _check_ledger(log, path, tube, jobs)
        with start_stalkd("-b", log, "-f", "0", unix=str(path)):
            wait_until(lambda: count(url, tube) == 0)
            assert made.stop() == 0
        assert _check_ledger(log, path, tube, jobs) == 0


def _check_ledger(log: str, path: Path, tube: str, jobs: int) -> int:
    """Look where the worker does not come: each number is an input still, or has an output."""
    with start_stalkd("-b", log, "-f", "0") as daemon:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        with Client(url) as client:
            inputs = {body for body, _ in _bodies(client, tube)}
            outputs = {body // 2 for body, _ in _bodies(client, f"{tube}.out")}
    assert inputs | outputs == set(range(jobs))
    return len(inputs)


def _bodies(client: Client, tube: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    after = 0
    while True:
        try:
            page = client.list_jobs(tube, after=after, limit=1000)
        except NotFoundError:
            return found
        for told in page.jobs:
            number = int(str(told["id"]))
            found.append((int(client.peek(number).body), number))
        if not page.next:
            return found
        after = page.next


@pytest.mark.timeout(120)
def test_children_may_be_killed_under_load(url: str, tube: str, tmp_path: Path) -> None:
    """Failure 9: outputs are there for all inputs, though children die at any moment."""
    jobs = 3000
    with Queue(tube, url) as queue:
        queue.push_many(range(jobs))
    options = ["-q", tube, "-o", f"{tube}.out", "-p", "2", "-c", "2", "--attempts", "100"]
    with worker(url, "work:double", *options, "--log-level", "error") as made:
        for _ in range(15):
            before = count(url, f"{tube}.out")
            for child in made.children()[:1]:
                os.kill(child, signal.SIGKILL)
            _wait_for_outputs(url, tube, before + 1)
        wait_until(lambda: _empty(url, tube))
        assert made.stop() == 0
    with Client(url) as client:
        outputs = [body // 2 for body, _ in _bodies(client, f"{tube}.out")]
    assert set(outputs) == set(range(jobs))


def _wait_for_outputs(url: str, tube: str, least: int) -> None:
    wait_until(lambda: count(url, f"{tube}.out") >= least or _empty(url, tube))


def _empty(url: str, tube: str) -> bool:
    return count(url, tube) == 0


@pytest.mark.timeout(120)
def test_supervisors_may_be_killed_under_load(url: str, tube: str) -> None:
    """Failure 9: as a whole worker is killed between any two steps, its jobs are ready again."""
    jobs = 2000
    with Queue(tube, url) as queue:
        queue.push_many(range(jobs))
    options = ["-q", tube, "-o", f"{tube}.out", "-c", "2", "--log-level", "error"]
    for share in (0.2, 0.4, 0.6, 0.8):
        with worker(url, "work:double", *options) as made:
            _wait_for_outputs(url, tube, int(jobs * share))
            made.kill()
        wait_until(lambda: count(url, tube, "reserved") == 0)
        with Client(url) as client:
            inputs = {body for body, _ in _bodies(client, tube)}
            outputs = {body // 2 for body, _ in _bodies(client, f"{tube}.out")}
        assert inputs | outputs == set(range(jobs))
    work_off(url, "work:double", *options)
    assert _empty(url, tube)


@pytest.mark.needs("beanstalkd")
def test_children_may_die_with_the_original_server(
    original: str, tube: str, tmp_path: Path
) -> None:
    """Failure 3, where the server counts nothing but reserves."""
    ledger = tmp_path / "ledger"
    (bad,) = push(original, tube, [str(ledger), "bad", "kill"])
    push(original, tube, [str(ledger), "good", ""])
    work_off(original, "work:note", "-q", tube)
    assert ledger.read_text().split().count("bad") == 3
    with Client(original, use=f"error.{bad}") as client:
        assert b"SIGKILL" in client.peek_ready().body
