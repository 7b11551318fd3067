"""Connection to a Ray cluster: one that runs, or one on this machine that ends with the work."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ray_jobs.errors import ClusterMissing, RayMissing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ADDRESS_VARIABLE: Final = "RAY_ADDRESS"
_ANSWER_S: Final = 5.0

NODE_VARIABLES: Final = {"OMP_WAIT_POLICY": "PASSIVE", "POLARS_MAX_THREADS": "1"}
"""What a node's processes should find in their environment when Ray starts there.

A task then has as many threads as it asked for processors: Ray sees to OpenMP, Polars would take all. They
are no runtime environment of Ray's: that would keep a job from the workers that are there, 8 s in place of 2.
"""

# Ray reports its use to its makers, and warns of a change to come in which GPUs a task sees, unless told.
_OF_RAY: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def load_ray() -> Any:
    """Import Ray.

    Returns:
        The module ``ray``.

    Raises:
        RayMissing: If it is not installed.
    """
    for name, value in _OF_RAY.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError:
        raise RayMissing from None
    # It tells at every start that a cluster here asks for a token, which Ray itself makes and gives.
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    return ray


@contextmanager
def connected(
    address: str | None = None, *, cpus: int | None = None, dashboard: bool = False
) -> Iterator[Any]:
    """Connect this process to a Ray cluster for a while.

    Where it is connected already, that connection is used and stays. A cluster that this call started ends
    with it; one that ran before goes on running.

    Args:
        address: ``host:port``, ``ray://host:port`` or ``auto``; None: the variable ``RAY_ADDRESS``, else a
            cluster on this machine. ``local`` is such a cluster whatever the variable says.
        cpus: Processors of a cluster on this machine; all if None.
        dashboard: Whether a cluster on this machine has Ray's dashboard.

    Yields:
        The module ``ray``.

    Raises:
        RayMissing: If Ray is not installed.
        ClusterMissing: If none answers at the address.
    """
    ray = load_ray()
    if ray.is_initialized():
        yield ray
        return
    found = address or os.environ.get(ADDRESS_VARIABLE) or "local"
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    if found == "local":
        options |= {"num_cpus": cpus, "include_dashboard": dashboard}
    else:
        _check_answer(found)
    with _inherited(NODE_VARIABLES if found == "local" else {}):
        try:
            ray.init(address=found, **options)
        except Exception as error:  # Ray raises no narrower one where a node starts too slowly
            ray.util.client.ray.disconnect()  # a client that failed would stay the process's way to Ray
            raise ClusterMissing(found, str(error)) from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def two_nodes(*, cpus: int = 1, memory_bytes: int = 256 << 20) -> Iterator[str]:
    """Start a cluster of two nodes on this machine: two raylets, each with workers and an object store.

    Args:
        cpus: Processors of each node.
        memory_bytes: Object store of each node.

    Yields:
        Its address.

    Raises:
        RayMissing: If Ray is not installed.
    """
    load_ray()
    from ray.cluster_utils import Cluster

    node = {"num_cpus": cpus, "object_store_memory": memory_bytes}
    with _inherited(NODE_VARIABLES):
        cluster: Any = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": True})
        try:
            cluster.add_node(**node)
            cluster.wait_for_nodes()
            yield str(cluster.address)
        finally:
            cluster.shutdown()


def dashboard_of(ray: Any) -> str:
    """Address of a cluster's dashboard, which is its job server too.

    Args:
        ray: The module, connected.

    Returns:
        ``http://host:port``; blank if the cluster has none.
    """
    found: str | None = ray._private.worker.get_dashboard_url()
    return f"http://{found}" if found else ""


@contextmanager
def _inherited(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for what is started meanwhile; those that are set already stay."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _check_answer(address: str) -> None:
    """Fail at once where nothing listens; Ray itself would go on trying for a minute."""
    if address.startswith(("http://", "https://")):
        message = "that is the address of its job server, which `ringwatch ray submit` takes"
        raise ClusterMissing(address, message)
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S):
            return
    except (OSError, ValueError, OverflowError) as error:
        problem = str(error) if host else "an address has the form host:port or ray://host:port"
        raise ClusterMissing(address, problem) from None
