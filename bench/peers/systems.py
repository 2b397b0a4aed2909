"""Who is compared: one line each says how it is run and what it is given."""

from typing import NamedTuple


class System(NamedTuple):
    """A worker, in the setting that is best for it here.

    ``app`` is its module in apps/. In ``worker``, its command, {ours} and {peers} are the
    directories of commands, {broker} is the address of the broker, which is a name of `BROKERS`.
    ``jobs`` take some seconds; ``pickups`` are the jobs that are pushed while it is idle.
    """

    name: str
    app: str
    broker: str
    worker: str
    note: str
    jobs: int
    pickups: int = 100
    env: tuple[tuple[str, str], ...] = ()


_STALK = "{ours}/stalk-worker --log-level warning --url {broker} "
_RQ = "{peers}/rq worker -u {broker} -S json --quiet "
_CELERY = (
    "{peers}/celery -A with_celery worker --loglevel WARNING --without-gossip --without-mingle"
    " --without-heartbeat -c 1 --prefetch-multiplier 128 "
)
_DRAMATIQ = "{peers}/dramatiq with_dramatiq -p 1 --skip-logging "
_HUEY = "{peers}/huey_consumer with_huey.huey -q -w 1 "
_PYQS = "{peers}/pyqs jobs -c 1 "
_POLL = "from with_taskqueue import tasks; tasks.poll(lease_seconds=60)"

_ALONE = "one process, one job at a time"
_PREFETCH = (("dramatiq_queue_prefetch", "100"),)

SYSTEMS = [
    System(
        "stalk-worker", "with_stalk", "stalkd", _STALK + "-q jobs with_stalk:nothing",
        f"{_ALONE}; stalkd in memory", 50_000,
    ),
    System(
        "stalk-worker, stalkd -b", "with_stalk", "stalkd -b",
        _STALK + "-q jobs with_stalk:nothing",
        "the same; all jobs in a log, synced every 50 ms", 50_000,
    ),
    System(
        "stalk-worker, tasks, stalkd -b", "with_stalk_tasks", "stalkd -b",
        _STALK + "with_stalk_tasks", "functions with `@task` instead of plain values", 40_000,
    ),
    System(
        "RQ Worker", "with_rq", "redis", _RQ,
        "the default: a fork for each job; JSON, no results", 80,
    ),
    System(
        "RQ SimpleWorker", "with_rq", "redis", _RQ + "-w rq.worker.SimpleWorker",
        "no forks, hence no protection against a job that crashes; JSON, no results", 800,
    ),
    System(
        "Celery prefork", "with_celery", "redis", _CELERY + "-P prefork",
        "-c 1; no results, no gossip, mingle or heartbeat; prefetch 128; acknowledged early",
        2_500,
    ),
    System(
        "Celery solo", "with_celery", "redis", _CELERY + "-P solo",
        "the same in one process, without time limits", 2_500,
    ),
    System(
        "Dramatiq, 8 threads", "with_dramatiq", "redis", _DRAMATIQ + "-t 8",
        "-p 1; the default number of threads; prefetch 100", 4_000, env=_PREFETCH,
    ),
    System(
        "Dramatiq, 1 thread", "with_dramatiq", "redis", _DRAMATIQ + "-t 1",
        "-p 1; prefetch 100", 4_000, env=_PREFETCH,
    ),
    System(
        "Huey, thread", "with_huey", "redis", _HUEY + "-k thread",
        "the default: one thread; no results; a job is gone from Redis before it runs", 8_000,
    ),
    System(
        "Huey, process", "with_huey", "redis", _HUEY + "-k process",
        "one process; no results; a job is gone from Redis before it runs", 8_000,
    ),
    System(
        "PyQS", "with_pyqs", "sqs", _PYQS,
        "-c 1; SQS is moto's server here; each process ends after 100 jobs", 210, 15,
    ),
    System(
        "PyQS --simple-worker", "with_pyqs", "sqs", _PYQS + "--simple-worker --batchsize 10",
        "the same without a process that reads ahead", 210, 15,
    ),
    System(
        "task-queue fq://", "with_taskqueue", "files", f'{{peers}}/python -c "{_POLL}"',
        "TaskQueue.poll; a file for each task; looks again after up to 1 s when there was none",
        1_500, 10,
    ),
]  # fmt: skip

SCALING = [
    System(
        f"stalk-worker -p {processes}", "with_stalk", "stalkd",
        _STALK + f"-p {processes} -q jobs with_stalk:burn",
        "a handler that takes 1 ms of processor time", 3_000, 0,
    )
    for processes in (1, 2, 4)
]  # fmt: skip
