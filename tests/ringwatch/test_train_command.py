"""`ringwatch train`: its choices reach training, and what it cannot do is said before any work is done."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

import gnn
from gnn import Bundle
from graph_etl import Workspace
from tests.ringwatch.conftest import Call, Walked


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(("--model", "catboost"), "catboost", id="no-such-model"),
        pytest.param(("--budget", "0"), "0 is no time to train in", id="no-time"),
        pytest.param(("--budget", "-3"), "-3 is no time to train in", id="less-than-no-time"),
        pytest.param(("--plot", "curve.png"), "curve.png: drawings are written as .svg", id="no-svg"),
    ],
)
def test_what_cannot_be_is_refused_with_2(call: Call, words: tuple[str, ...], expected: str) -> None:
    said = call("train", *words)
    assert said.code == 2
    assert expected in said.err


def test_a_missing_extra_is_told_before_training(
    walked: Walked, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    monkeypatch.setattr(gnn, "train", lambda *_, **__: pytest.fail("trained without its library"))
    said = call("train", "-w", walked.workspace, "--model", "xgboost")
    assert said.code == 2
    assert "pip install 'ringwatch[xgboost]'" in said.err
    assert len(said.err.strip().splitlines()) == 1


@pytest.fixture
def retrained(walked: Walked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A copy of the workspace in which training gives the bundle that is there; what it was asked for."""
    copytree(walked.workspace, tmp_path / "copy")
    asked: dict[str, Any] = {"workspace": tmp_path / "copy"}

    def train(_snapshot: object, place: Workspace, **options: Any) -> Bundle:
        asked.update(options)
        version = place.current()["bundle"]
        assert version is not None
        bundle = Bundle.open(place.path_of("bundle", version))
        bundle.manifest["left_out"] = ["GraphSAGE", "narrow trees"]
        return bundle

    monkeypatch.setattr(gnn, "train", train)
    return asked


def test_model_and_minutes_reach_training(retrained: dict[str, Any], call: Call) -> None:
    said = call("train", "-w", retrained["workspace"], "--model", "extra_trees", "--budget", "2.5", "--json")
    assert said.code == 0
    assert (retrained["model"], retrained["budget_s"]) == ("extra_trees", 150.0)
    assert said.document["result"]["model"] == "extra_trees"
    assert said.document["result"]["left_out"] == ["GraphSAGE", "narrow trees"]
    assert "left out for lack of time: GraphSAGE, narrow trees" in said.err


def test_a_drawing_shows_the_held_out_accounts(retrained: dict[str, Any], call: Call, tmp_path: Path) -> None:
    file = tmp_path / "new" / "curve.svg"
    said = call("train", "-w", retrained["workspace"], "--plot", file, "--json")
    assert said.code == 0
    assert str(file) in said.document["wrote"]
    words = "".join(ET.parse(file).getroot().itertext())
    judged = said.document["result"]["metrics"]["retrospective"]["accounts"]
    assert f"{judged:,} accounts" in words
    assert "small_platform: held-out scores at retrospective" in words
