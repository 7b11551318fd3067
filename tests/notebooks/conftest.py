"""A small simulated platform, built, trained and searched for rings, for the notebooks to look at."""

from dataclasses import dataclass
from pathlib import Path

import pytest

import gnn
import rings
from graph_etl import Workspace
from graph_etl.build import build
from graph_etl.simulate import load_simulation, simulate
from graph_etl.spec import load_spec

EXAMPLE = Path(__file__).parents[2] / "examples" / "game_signups"


@dataclass(frozen=True)
class Explored:
    """Where a notebook finds its data and its workspace."""

    example: Path
    workspace: Path


@pytest.fixture(scope="session")
def small_game(tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> Explored:
    """The game of the examples with 900 accounts, scored at one moment only, as that is quicker."""
    assert hash_key
    example = tmp_path_factory.mktemp("game_signups")
    simulate(load_simulation(EXAMPLE / "simulation.yaml").scaled(900)).write(example)
    text = (EXAMPLE / "spec.yaml").read_text()
    assert "moments: [signup, 1d, retrospective]" in text
    (example / "spec.yaml").write_text(
        text.replace("moments: [signup, 1d, retrospective]", "moments: [retrospective]")
    )
    workspace = Workspace(example / "workspace")
    build(load_spec(example / "spec.yaml"), workspace)
    snapshot = workspace.open_snapshot()
    bundle = gnn.train(snapshot, workspace, seed=0)
    scores = bundle.scores.sort("account")["score"].to_numpy()
    run = rings.find(snapshot, scores, verdicts=snapshot.labels(), seed=0)
    with workspace.new_folder("rings", run.id) as folder:
        run.write(folder)
    workspace.set_current("rings", run.id)
    return Explored(example, workspace.path)
