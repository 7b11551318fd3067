"""The notebook runs from top to bottom, and what it shows is labelled."""

import runpy
from pathlib import Path
from typing import Any

import jupytext  # type: ignore[import-untyped]  # it publishes no type information
import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from tests.notebooks.conftest import Explored

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "explore_game_signups.py"


@pytest.fixture(scope="module")
def shown(small_game: Explored) -> Any:
    """The notebook's variables after it ran, its figures still open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RINGWATCH_WORKSPACE", str(small_game.workspace))
        patch.setenv("RINGWATCH_EXAMPLE", str(small_game.example))
        patch.chdir(ROOT)
        mpl.use("Agg", force=True)
        plt.close("all")
        yield runpy.run_path(str(NOTEBOOK))
        plt.close("all")


def test_every_plot_says_what_it_shows_and_that_it_is_simulated(shown: dict[str, Any]) -> None:
    figures = [plt.figure(number) for number in plt.get_fignums()]
    assert len(figures) == 5
    for figure in figures:
        for axes in figure.axes:
            assert axes.get_title().endswith("(simulated)")
            assert axes.get_xlabel()
            assert axes.get_ylabel()
            assert axes.has_data()


def test_one_ring_is_told_from_score_to_evidence(shown: dict[str, Any]) -> None:
    story = shown["story"]
    known = {piece["id"] for piece in story["evidence"]}
    assert story["n_known_bad"] == 0
    assert story["sentences"]
    assert all(set(sentence["evidence"]) <= known for sentence in story["sentences"])
    assert shown["answer"].score[0] > 0.0
    assert shown["member"]["ring"] == story["ring"]


def test_scores_find_bad_accounts_that_nobody_judged(shown: dict[str, Any]) -> None:
    unjudged = shown["unjudged"]
    best = unjudged.head(int(unjudged["bad"].sum()))
    assert best["bad"].mean() > 3 * unjudged["bad"].mean()


def test_crowds_are_hubs_and_devices_are_not(shown: dict[str, Any]) -> None:
    assert "device" not in set(shown["hubs"]["kind"])
    assert len(shown["crowds"]) >= 2


def test_it_opens_as_a_notebook_of_text_and_code() -> None:
    cells = jupytext.read(NOTEBOOK).cells
    kinds = [cell.cell_type for cell in cells]
    assert kinds[0] == "markdown"
    assert kinds.count("code") >= 12
    assert "simulated" in cells[0].source
