"""`ringwatch bundle`: which model answers, which runs in its shadow, and the way back."""

import json
from pathlib import Path

import pytest

from graph_etl import Workspace
from tests.ringwatch.conftest import Call


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """A workspace with three bundles; only their manifests are asked for here."""
    workspace = Workspace(tmp_path / "w")
    for version in ("b1", "b2", "b3"):
        with workspace.new_folder("bundle", version) as folder:
            manifest = {"snapshot": "s1", "supervision": "full", "moments": ["signup"], "metrics": {}}
            (folder / "manifest.json").write_text(json.dumps(manifest))
    workspace.publish({"bundle": "b1"})
    return workspace


def test_rolling_back_twice_goes_back_twice(call: Call, place: Workspace) -> None:
    for version in ("b2", "b3"):
        assert call("bundle", "promote", version, "-w", place.path).code == 0
    said = [
        call("bundle", "rollback", "-w", place.path, "--json").document["result"]["current"] for _ in "12"
    ]
    assert said == ["b2", "b1"]
    last = call("bundle", "rollback", "-w", place.path)
    assert last.code == 2
    assert "no bundle was in use before b1" in last.err


def test_a_shadow_is_listed_and_ends(call: Call, place: Workspace) -> None:
    started = call("bundle", "shadow", "b2", "-w", place.path, "--json").document["result"]
    assert started == {"shadow": "b2", "before": None}
    listed = call("bundle", "list", "-w", place.path, "--json").document["result"]
    assert (listed["current"], listed["shadow"]) == ("b1", "b2")
    assert {b["version"]: (b["current"], b["shadow"]) for b in listed["bundles"]} == {
        "b1": (True, False),
        "b2": (False, True),
        "b3": (False, False),
    }
    assert "shadow" in call("bundle", "list", "-w", place.path).out
    ended = call("bundle", "shadow", "--off", "-w", place.path, "--json").document["result"]
    assert ended == {"shadow": None, "before": "b2"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(("b1",), "b1 is the current one and cannot be its own shadow", id="itself"),
        pytest.param(("b9",), "no bundle 'b9'", id="missing"),
        pytest.param((), "name the bundle to run in the shadow", id="nothing"),
        pytest.param(("b2", "--off"), "name the bundle to run in the shadow", id="both"),
    ],
)
def test_what_cannot_be_a_shadow_is_one_line(
    call: Call, place: Workspace, words: tuple[str, ...], told: str
) -> None:
    said = call("bundle", "shadow", *words, "-w", place.path)
    assert said.code == 2
    assert told in said.err
    assert place.current()["shadow"] is None
