"""`ringwatch rings` after `build --append`: it builds on the run before, says so, and can be told not to."""

import json
from pathlib import Path
from typing import Any

import pytest

from rings import RingsRun
from ringwatch import run
from tests.building import write_data
from tests.rings.drawing import GAME_SPEC, Game


def data(folder: Path, game: Game) -> Path:
    write_data(folder, GAME_SPEC, game.files)
    return folder


def first_day() -> Game:
    game = Game()
    game.strangers(80, 60.0 * 24 * 20)
    for at in range(8):
        game.signup(f"f{at}", 9000.0 + 4 * at, "rack", form_s=6.0)
    return game


def test_a_run_after_an_append_builds_on_the_one_before(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = ["--workspace", str(tmp_path / "workspace")]

    def called(*words: str | Path) -> dict[str, Any]:
        capfd.readouterr()
        assert run([*(str(word) for word in words), *place, "--json"]) == 0
        document: dict[str, Any] = json.loads(capfd.readouterr().out)["result"]
        return document

    folder = data(tmp_path / "one", first_day())
    called("build", folder / "spec.yaml")
    first = called("rings")
    assert (first["base"], first["why_full"], first["taken_over"]) == (None, "there is no run before", [])

    later = Game()
    later.signup("f8", 9100.0, "rack", form_s=6.0)
    folder = data(tmp_path / "two", later)
    called("build", folder / "spec.yaml", "--append")
    second = called("rings")
    assert (second["base"], second["why_full"]) == (first["run"], None)
    assert second["taken_over"] == ["null model"]
    assert second["changed"]["other_members"] == 1
    assert second["untouched"] == first["rings"] - 1
    found = RingsRun.open(tmp_path / "workspace" / "rings" / second["run"])
    assert found.ring_of(88) is not None
    # What is built on is named, not the run in between.
    assert called("rings")["base"] == first["run"]

    third = called("rings", "--full")
    assert (third["base"], third["why_full"], third["taken_over"]) == (None, "asked for", [])
    other = called("rings", "--seed", "3")
    assert (other["base"], other["why_full"]) == (None, "the run before had another seed")

    assert run(["rings", *place]) == 0
    said = capfd.readouterr()
    assert "another seed" not in said.err
    crowd = Game()
    crowd.strangers(20, 60.0, name="late")
    folder = data(tmp_path / "three", crowd)
    called("build", folder / "spec.yaml", "--append")
    assert "109 accounts, where 89 were measured" in called("rings")["why_full"]
