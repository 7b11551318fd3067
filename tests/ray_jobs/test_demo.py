"""The demo over two nodes ends with the figures of one process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ringwatch.commands.demo import GAME


@pytest.mark.slow
def test_the_demo_on_the_game_over_two_nodes(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ringwatch",
        "ray",
        "demo",
        "--only",
        GAME,
        "-w",
        str(tmp_path),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)["result"]
    assert result["nodes"] == 2
    assert result["dashboard"].startswith("http://")
    (walk,) = result["walks"]
    assert walk["scores_equal"] is True
    assert Path(walk["scores"]).stat().st_size > 0
    assert walk["counts"]["accounts"] == 5_000
    figures = walk["metrics"]["retrospective"]["average_precision"]["value"]
    assert figures > walk["baselines"]["retrospective"]["no graph"]["average_precision"]["value"]
