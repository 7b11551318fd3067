"""What was acknowledged as accepted survives `kill -9`, exactly once; ten kills here, any number by hand.

`python -m benchmarks.kill` does a hundred.
"""

import shutil
from pathlib import Path

import pytest

from tests.chaos.killing import COMMIT_MODES, kill_often
from tests.scoring_service import small_platform


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> Path:
    assert hash_key
    return small_platform.make_workspace(tmp_path_factory.mktemp("platform"))


@pytest.mark.slow
@pytest.mark.parametrize("commit", COMMIT_MODES)
def test_nothing_accepted_is_lost_or_doubled_by_kill_9(made: Path, tmp_path: Path, commit: str) -> None:
    shutil.copytree(made, tmp_path / "workspace")
    report = kill_often(tmp_path / "workspace", commit, kills=5, seed=COMMIT_MODES.index(commit))
    assert report.kills == 5
    assert report.told > 5 * 4
    assert report.rows >= report.told
    assert max(report.restart_s) < 60
