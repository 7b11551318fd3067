"""The demo: what it needs, what it says when that is missing, and (slow) the whole of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ringwatch.commands.demo import GAME, REAL, check_names, find_examples
from ringwatch.live import DemoError, LiveService
from tests.ringwatch.conftest import Walked


def test_both_examples_unless_one_is_named() -> None:
    assert check_names(None) == (REAL, GAME)
    assert check_names([GAME]) == (GAME,)
    assert check_names([GAME, REAL]) == (REAL, GAME)


def test_examples_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (find_examples(None) / REAL / "spec.yaml").is_file()


def test_a_folder_without_examples_is_named(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="no examples there"):
        find_examples(tmp_path)


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="no snapshot yet"), LiveService(tmp_path, ready_within_s=60.0):
        pass


@pytest.mark.slow
def test_a_live_service_answers_and_is_gone_afterwards(walked: Walked) -> None:
    with LiveService(walked.workspace, ready_within_s=120.0) as service:
        page = service.get("/v1/rings?limit=1")
        assert page["rings"][0]["id"] == walked.said["rings"]["result"]["first"][0]["ring"]
        with pytest.raises(DemoError, match="answered 404"):
            service.get("/v1/accounts/nobody")
    with pytest.raises(OSError, match="refused"):
        service.get("/healthz")


@pytest.mark.slow
def test_the_demo_on_the_game(tmp_path: Path) -> None:
    """A farm's device and a banned player's are treated harder than a household's; nothing is kept yet."""
    command = [sys.executable, "-m", "ringwatch", "demo", "--only", GAME, "-w", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)["result"]
    (walk,) = result["walks"]
    counts = walk["counts"]
    assert counts["rows"] == counts["in_graph"] + counts["duplicates"] + counts["quarantined"]
    figures = walk["metrics"]["retrospective"]["average_precision"]["value"]
    assert figures > walk["baselines"]["retrospective"]["no graph"]["average_precision"]["value"]
    assert len(walk["first_rings"]) == 3
    assert all(ring["words"] for ring in walk["first_rings"])
    assert walk["account"]["reasons"]
    answers = result["answers"]
    order = ["allow", "challenge", "review", "deny"]
    decisions = {name: order.index(answers[name]["decision"]) for name in ("household", "farm", "ban_evader")}
    assert decisions["household"] < decisions["farm"]
    assert decisions["household"] < decisions["ban_evader"]
    assert answers["farm"]["simulated"] is True
    assert answers["farm"]["accepted"] is False
    assert len(answers["rings"]["rings"]) == 3
