"""A real Ray cluster of two nodes on this machine, one for the whole session."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from graph_etl import Workspace
from graph_etl.identifiers import HASH_KEY_VARIABLE
from ray_jobs.cluster import NODE_VARIABLES, load_ray
from tests.building import PLATFORM_SPEC, TEST_HASH_KEY, build_from_text, platform_files

# Said by Ray and what it imports about one another; nothing that a test here could change.
_OF_RAY = ("ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let Ray's own warnings pass in tests that use a cluster."""
    for item in items:
        if "ray_cluster" in getattr(item, "fixturenames", ()):
            for warning in _OF_RAY:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session")
def ray_cluster(hash_key: str) -> Iterator[Any]:
    """A running cluster of two nodes with a processor each; its ``address`` is for ``--address``.

    ``client_address`` is the same for one who comes from far away, ``ray://host:port``.
    ``cluster.add_node`` and ``cluster.remove_node`` work on it: a test that kills a node adds one first.
    """
    assert hash_key == TEST_HASH_KEY == os.environ[HASH_KEY_VARIABLE]  # the nodes inherit it
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        for name, value in NODE_VARIABLES.items():
            patch.setenv(name, value)
        load_ray()
        from ray.cluster_utils import Cluster

        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            port = int(listening.getsockname()[1])
        cluster: Any = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "object_store_memory": 128 << 20,
                "include_dashboard": False,
                "ray_client_server_port": port,
            },
        )
        cluster.client_address = f"ray://127.0.0.1:{port}"
        cluster.add_node(num_cpus=1, object_store_memory=128 << 20)
        cluster.wait_for_nodes()
    yield cluster
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster.shutdown()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> Workspace:
    """The drawn platform, scored at one moment."""
    spec = PLATFORM_SPEC.replace("moments: [signup, 1d, retrospective]", "moments: [retrospective]")
    return build_from_text(tmp_path_factory.mktemp("platform"), spec, platform_files()).workspace
