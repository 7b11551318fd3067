"""Where a cluster answers, and the one line where none does."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from graph_etl.errors import DataError
from ray_jobs.cluster import connected
from ray_jobs.errors import ClusterMissing, JobFailed
from ray_jobs.spreading import spread


def _closed_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_nobody_at_the_address_is_said_at_once(scheme: str) -> None:
    address = f"{scheme}127.0.0.1:{_closed_port()}"
    with pytest.raises(ClusterMissing, match=f"answers at {address}"), connected(address):
        pass


@pytest.mark.parametrize(
    ("address", "problem"),
    [("http://127.0.0.1:8265", "ringwatch ray submit"), ("somewhere", "host:port"), ("ray://x:y", "answers")],
)
def test_an_address_of_the_wrong_form_says_the_right_one(address: str, problem: str) -> None:
    with pytest.raises(ClusterMissing, match=problem), connected(address):
        pass


def _refuse(number: int) -> int:
    if number == 3:
        problem = "no such column"
        raise DataError(problem, source="signups")
    return number * number


def test_the_connection_ends_with_the_block_and_the_cluster_stays(ray_cluster: Any) -> None:
    with connected(ray_cluster.address) as ray:
        assert len([node for node in ray.nodes() if node["Alive"]]) >= 2
        with connected() as again:
            assert again is ray
        assert ray.is_initialized()
        assert dict(spread(ray, _refuse, [(0,), (1,), (2,)])) == {0: 0, 1: 1, 2: 4}
    assert not ray.is_initialized()
    with connected(ray_cluster.address) as ray:
        assert len([node for node in ray.nodes() if node["Alive"]]) >= 2


def test_a_client_that_could_not_connect_leaves_the_process_as_it_was(
    ray_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.util.client.worker.INITIAL_TIMEOUT_SEC", 0.1)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # takes connections, and is no cluster
        address = f"ray://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(ClusterMissing, match=address), connected(address):
            pass
    with connected(ray_cluster.address) as ray:
        assert dict(spread(ray, _refuse, [(0,), (2,)])) == {0: 0, 1: 4}


def test_an_error_of_a_task_is_its_own_line(ray_cluster: Any) -> None:
    with connected(ray_cluster.address) as ray, pytest.raises(JobFailed, match="no such column") as raised:
        list(spread(ray, _refuse, [(2,), (3,)]))
    assert str(raised.value) == "source 'signups': no such column"


def _divide(number: int) -> float:
    return 1 / number


def test_an_unexpected_error_names_its_kind(ray_cluster: Any) -> None:
    with connected(ray_cluster.address) as ray, pytest.raises(JobFailed, match="ZeroDivisionError"):
        list(spread(ray, _divide, [(0,)]))
