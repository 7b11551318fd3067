"""A command as a job of a cluster: its lines here as they come, its exit status in the end."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import time
from typing import TYPE_CHECKING, Any, Final

from ray_jobs.cluster import load_ray
from ray_jobs.errors import ClusterMissing, JobFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ADDRESS_VARIABLE: Final = "RAY_API_SERVER_ADDRESS"
DEFAULT_ADDRESS: Final = "http://127.0.0.1:8265"
_POLL_S: Final = 0.5
_LOST_S: Final = 60.0


def submit(
    command: Sequence[str],
    *,
    address: str | None = None,
    job_id: str | None = None,
    working_dir: str | None = None,
    write: Callable[[str], Any],
    started: Callable[[str, str, bool], Any] | None = None,
) -> int:
    """Run a command as a job of a cluster and wait for its end.

    The job goes on when this process dies; called again with the same id it is followed, not started anew.
    Ray gives it `RAY_ADDRESS`, so that a `ringwatch ray` command in it uses that cluster.

    Args:
        command: The words of the command.
        address: ``http://host:8265`` of the cluster's job server; None: `RAY_API_SERVER_ADDRESS`, else this
            machine.
        job_id: Id of the job; Ray makes one up if None.
        working_dir: Folder that is copied to where the job runs; what is installed there is used if None.
        write: Takes what the job prints.
        started: Told the job's id, the address, and whether it ran before.

    Returns:
        The command's exit status; 128 and the number of the signal that killed it; 1 if it never ran.

    Raises:
        ClusterMissing: If no job server answers.
        JobFailed: If the job cannot be started, or its end cannot be learnt.
    """
    load_ray()
    from ray.job_submission import JobSubmissionClient

    # It tells of each connection that it closes.
    logging.getLogger("ray.dashboard.modules.job.sdk").setLevel(logging.WARNING)
    found = address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS
    if not found.startswith(("http://", "https://")):
        raise ClusterMissing(found, "a job server's address is http://host:8265")
    try:
        client = JobSubmissionClient(found)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterMissing(found, str(error)) from None
    known = job_id is not None and _status(client, job_id) is not None
    if job_id is None or not known:
        try:
            job_id = str(
                client.submit_job(
                    entrypoint=shlex.join(command),
                    submission_id=job_id,
                    runtime_env=None if working_dir is None else {"working_dir": working_dir},
                )
            )
        except (RuntimeError, ValueError) as error:
            message = f"the job cannot be started: {' '.join(str(error).split())[:300]}"
            raise JobFailed(message) from None
    if started is not None:
        started(job_id, found, known)
    _follow(client, job_id, write)
    return _exit_status(client, job_id)


def _status(client: Any, job_id: str) -> Any:
    try:
        return client.get_job_status(job_id)
    except RuntimeError:
        return None


def _follow(client: Any, job_id: str, write: Callable[[str], Any]) -> None:
    """Pass on what a job prints until it has ended; after a cut line, go on behind what was passed on."""
    passed = 0
    lost_since: float | None = None
    while True:

        async def tail(skip: int) -> int:
            count = 0
            async for text in client.tail_job_logs(job_id):
                fresh = text[max(0, skip - count) :]
                count += len(text)
                if fresh:
                    write(fresh)
            return count

        try:
            passed = max(passed, asyncio.run(tail(passed)))
        except (OSError, RuntimeError):
            pass
        status = _status(client, job_id)
        if status is not None and status.is_terminal():
            return
        lost_since = None if status is not None else lost_since or time.monotonic()
        if lost_since is not None and time.monotonic() - lost_since > _LOST_S:
            message = f"job {job_id}: its server does not answer any more; follow it again with --id {job_id}"
            raise JobFailed(message)
        time.sleep(_POLL_S)


def _exit_status(client: Any, job_id: str) -> int:
    info = client.get_job_info(job_id)
    if str(info.status.value) == "SUCCEEDED":
        return 0
    code = info.driver_exit_code
    if code is None:
        message = f"job {job_id}: {info.status.value.lower()}; {' '.join(str(info.message).split())[:300]}"
        raise JobFailed(message)
    return exit_status(int(code))


def exit_status(code: int) -> int:
    """The exit status that a shell would show.

    Args:
        code: What the process returned; negative: the signal that killed it.

    Returns:
        0 to 255.

    Example:
        >>> exit_status(3), exit_status(-9)
        (3, 137)
    """
    return 128 - code if code < 0 else code
