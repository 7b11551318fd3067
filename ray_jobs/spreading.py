"""One function over many arguments in Ray tasks: a bounded number at a time, errors as one plain line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graph_etl.errors import RingwatchError
from ray_jobs.errors import JobFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

RETRIES: Final = 5
"""Times that a task is tried again after its worker or node was lost."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """What a person can act upon, carried to the driver as text: not every exception survives pickling."""

    message: str


class _Told:
    """Calls a function and turns an error that a person can act upon into a value."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        try:
            return self._function(*arguments)
        except RingwatchError as error:
            return _Failure(str(error))


def spread(
    ray: Any,
    function: Callable[..., Any],
    calls: Iterable[tuple[Any, ...]],
    *,
    at_a_time: int | None = None,
    cpus: float = 1.0,
    memory_bytes: int | None = None,
) -> Generator[tuple[int, Any], None, None]:
    """Call a function once for each set of arguments, in tasks of a cluster.

    Tasks whose worker or node is lost are run again. No more are in flight than twice what the cluster has
    processors for: a long list fills neither the object store nor the scheduler.

    Args:
        ray: The module, connected.
        function: An importable function.
        calls: Its arguments.
        at_a_time: Tasks in flight; twice what the processors allow if None.
        cpus: Processors of one task.
        memory_bytes: Memory that a task is scheduled by; none if None.

    Yields:
        Number of the call and what it returned, as they finish.

    Raises:
        JobFailed: If a task failed, or was lost more often than it may be tried again.
    """
    options: dict[str, Any] = {"num_cpus": cpus, "max_retries": RETRIES}
    if memory_bytes is not None:
        options["memory"] = memory_bytes
    task = ray.remote(_run).options(**options)
    told = ray.put(_Told(function))
    most = at_a_time or _width(ray, cpus)
    numbers: dict[Any, int] = {}
    waiting = enumerate(calls)
    more = True
    try:
        while more or numbers:
            while more and len(numbers) < most:
                number, arguments = next(waiting, (-1, ()))
                more = number >= 0
                if more:
                    numbers[task.remote(told, *arguments)] = number
            if not numbers:
                break
            done, _ = ray.wait(list(numbers), num_returns=1)
            for reference in done:
                yield numbers.pop(reference), _result(ray, reference)
    finally:
        for reference in numbers:
            ray.cancel(reference, force=False)


def _run(told: _Told, *arguments: Any) -> Any:
    return told(*arguments)


def _width(ray: Any, cpus: float) -> int:
    """Tasks in flight: some wait, which is what makes a cluster that can grow do so."""
    return max(4, 2 * math.ceil(float(ray.cluster_resources().get("CPU", 1.0)) / max(cpus, 0.01)))


def _result(ray: Any, reference: Any) -> Any:
    try:
        result = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        message = f"a task failed with {type(cause).__name__}: {' '.join(str(cause).split())[:300]}"
        raise JobFailed(message) from error
    except ray.exceptions.RayError as error:
        message = (
            f"a task was lost {RETRIES + 1} times ({' '.join(str(error).split())[:160]}); give its nodes more"
            " memory, then run the command again: what was finished is kept"
        )
        raise JobFailed(message) from error
    if isinstance(result, _Failure):
        raise JobFailed(result.message)
    return result
