"""One small bundle, really trained, for all tests of the room."""

from pathlib import Path

import pytest

import gnn
from gnn import Bundle, Scorer
from graph_etl import Snapshot, Workspace
from tests.building import (
    PLATFORM_SPEC,
    TRANSFERS_SPEC,
    Built,
    build_from_text,
    platform_files,
    transfer_files,
)


@pytest.fixture(scope="session")
def timed_bundle(timed_build: Built) -> Bundle:
    """A bundle of the small platform with times."""
    return gnn.train(timed_build.snapshot, timed_build.workspace)


@pytest.fixture(scope="session")
def timed_scorer(timed_build: Built, timed_bundle: Bundle) -> Scorer:
    """Scores with ``timed_bundle``."""
    return Scorer(timed_build.snapshot, timed_bundle)


@pytest.fixture
def own_platform(tmp_path: Path) -> tuple[Snapshot, Workspace]:
    """The small platform in a workspace of the test's own."""
    built = build_from_text(tmp_path, PLATFORM_SPEC, platform_files())
    return built.snapshot, built.workspace


@pytest.fixture
def own_transfers(tmp_path: Path) -> tuple[Snapshot, Workspace]:
    """The small bridge, without times, in a workspace of the test's own."""
    built = build_from_text(tmp_path, TRANSFERS_SPEC, transfer_files())
    return built.snapshot, built.workspace
