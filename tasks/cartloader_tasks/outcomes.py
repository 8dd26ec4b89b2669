"""How a run ends that is stopped, or fails as runs do: in a state and a sentence; Prefect would log a traceback."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Cancelled, Failed
from prefect.transactions import get_transaction

from cartloader_image.errors import CartloaderError, StoppedError, sentence
from cartloader_image.results import RunError

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")


def ending_in_a_sentence(work: Callable[P, R]) -> Callable[P, R]:
    """Have a task or a flow end as Cancelled where it was stopped, and as Failed where a person can mend what is wrong.

    Whoever asks for its result gets the error as if it was raised; a task's bare call gives the state, see `called`.
    The traceback is in the log of level DEBUG.
    """

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return work(*args, **kwargs)
        except (CartloaderError, OSError, MemoryError) as failure:
            error: Exception = failure
        except KeyboardInterrupt:
            error = StoppedError("interrupted")
        get_run_logger().debug("how it came to that:", exc_info=error)
        if transaction := get_transaction():
            transaction.write_on_commit = False  # an error is no result to be found in a cache
        # Prefect takes a state that is returned for the run's.
        return cast("R", _state_of(error))

    # Prefect would look for the names of the types in this module.
    run.__signature__ = inspect.signature(work, eval_str=True)  # type: ignore[attr-defined]
    return run


def called(task: Task[[A], R], argument: A) -> R:
    """What a task of this kind gives; as its bare call would, it raises what went wrong."""
    result: R = task(argument, return_state=True).result()
    return result


def _state_of(error: Exception) -> State[Any]:
    """The state of a run that this error has ended."""
    stopped = isinstance(error, StoppedError) or (
        isinstance(error, RunError) and any(isinstance(one, StoppedError) for one in error.failures.values())
    )
    return (Cancelled if stopped else Failed)(message=sentence(error), data=error)
