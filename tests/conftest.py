"""Fixtures that all rooms share: a key, and two small snapshots built the ordinary way."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from graph_etl import Snapshot
from graph_etl.identifiers import HASH_KEY_VARIABLE
from graph_etl.neo4j_store import Target
from tests.building import (
    PLATFORM_SPEC,
    TEST_HASH_KEY,
    TRANSFERS_SPEC,
    Built,
    build_from_text,
    platform_files,
    transfer_files,
)
from tests.neo4j_server import neo4j_for_tests, wipe

# A first example may compile a kernel, and machines of CI are shared: time is no property of the code here.
settings.register_profile("ringwatch", deadline=None)
settings.load_profile("ringwatch")


@pytest.fixture(scope="session", autouse=True)
def hash_key() -> Iterator[str]:
    """The key that hashes identifiers in tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HASH_KEY_VARIABLE, TEST_HASH_KEY)
        yield TEST_HASH_KEY


@pytest.fixture(scope="session")
def timed_build(tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> Built:
    """300 accounts with times, built; see ``tests.building.platform_files``. Not to be changed."""
    assert hash_key
    return build_from_text(tmp_path_factory.mktemp("timed"), PLATFORM_SPEC, platform_files())


@pytest.fixture(scope="session")
def timed_snapshot(timed_build: Built) -> Snapshot:
    """The snapshot of ``timed_build``."""
    return timed_build.snapshot


@pytest.fixture(scope="session")
def untimed_build(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """200 wallets without times, built; see ``tests.building.transfer_files``. Not to be changed."""
    return build_from_text(tmp_path_factory.mktemp("untimed"), TRANSFERS_SPEC, transfer_files())


@pytest.fixture(scope="session")
def untimed_snapshot(untimed_build: Built) -> Snapshot:
    """The snapshot of ``untimed_build``."""
    return untimed_build.snapshot


@pytest.fixture(scope="session")
def neo4j_server() -> Iterator[Target]:
    """A database of a real Neo4j, whatever it holds."""
    with neo4j_for_tests() as target:
        yield target


@pytest.fixture
def neo4j_database(neo4j_server: Target) -> Target:
    """An empty database of a real Neo4j, without constraints or indexes."""
    wipe(neo4j_server)
    return neo4j_server
