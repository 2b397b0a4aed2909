"""What can go wrong with a task, as opposed to what a server refuses."""

from __future__ import annotations


class TaskError(Exception):
    """Something is wrong with a task, not with the server or the connection to it."""


class BadArgumentsError(TaskError, TypeError):
    """The arguments do not fit the task's function, or cannot be written into a job."""


class BadEnvelopeError(TaskError, ValueError):
    """A job's body is no envelope of a task."""


class UnknownTaskError(TaskError, LookupError):
    """No task of that name may run here."""


class BadResultError(TaskError, TypeError):
    """What the task returned cannot be written into a reply."""


class TaskFailedError(TaskError):
    """The task raised an exception, and is not tried again.

    ``type`` is the dotted name of the exception's class, ``message`` its text, ``traceback`` where
    it was raised, as text. All three come from the worker, which may be a program in any language.
    """

    def __init__(
        self,
        task: str,
        type: str,  # noqa: A002 - as in the reply, and as the attribute
        message: str,
        traceback: str,
    ) -> None:
        super().__init__(task, type, message, traceback)
        self.task = task
        self.type = type
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        text = f"{self.task} raised {self.type}: {self.message}"
        return f"{text}\n\n{self.traceback.rstrip()}" if self.traceback.strip() else text


class TaskDiedError(TaskError):
    """The task was put aside, and no worker told why.

    Either its attempts are used up, since every worker that had it crashed, hung or gave it back;
    or somebody buried it.
    """


class TaskLostError(TaskError):
    """The task's job is gone, and there is no reply.

    It was deleted or purged by somebody, or it expired; or the reply was kept no longer.
    """
