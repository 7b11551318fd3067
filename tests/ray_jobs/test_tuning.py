"""A study over a cluster: the defaults among its trials, its best as a file that training takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import gnn
from gnn.choices import Choices, ChoicesError, families
from graph_etl import Workspace
from graph_etl.errors import RingwatchError
from ray_jobs.tuning import LEAST_GAIN, MODELS, tune_over_ray
from ringwatch.cli import app


@pytest.mark.slow
def test_a_study_that_was_cut_short_goes_on_and_its_best_is_trained(
    platform: Workspace, ray_cluster: Any, tmp_path: Path
) -> None:
    snapshot = platform.open_snapshot()

    class Killed(BaseException):
        """What a kill looks like from inside."""

    def cut(stage: str, done: int, _: int) -> None:
        if stage == "trials" and done == 2:
            raise Killed

    with pytest.raises(Killed):
        tune_over_ray(snapshot, platform, trials=5, address=ray_cluster.address, progress=cut)
    told: list[tuple[str, int, int]] = []
    study = tune_over_ray(
        snapshot,
        platform,
        trials=5,
        address=ray_cluster.address,
        progress=lambda *step: told.append(step),
    )
    assert study.trials == 5
    # One was there for certain; the second may have been cut short before Ray Tune had noted its end.
    assert min(done for stage, done, _ in told if stage == "trials" and done) >= 2
    assert study.precision >= study.defaults
    assert study.choices == Choices() or study.precision >= study.defaults + LEAST_GAIN
    file = tmp_path / "best.yaml"
    study.choices.write(file, "of a test")
    assert Choices.read(file, snapshot) == study.choices
    command = ["train", "-w", str(platform.path), "--config", str(file)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    bundle = gnn.Bundle.open(platform.path_of("bundle", platform.current()["bundle"] or ""))
    assert bundle.manifest["model"] == study.choices.model in MODELS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: perceptron", "no model 'perceptron'"),
        ("without: [links]", "no family links; there are"),
        ("without: link", "`without` is a list"),
        ("trees: 40", "takes `model` and `without`, got ['trees']"),
        ("[", "no YAML"),
    ],
)
def test_a_file_of_choices_that_cannot_be_read_is_told_in_a_line(
    platform: Workspace, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "choices.yaml"
    file.write_text(text)
    with pytest.raises(RingwatchError) as error:
        Choices.read(file, platform.open_snapshot())
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_families_and_stages_can_be_left_out(platform: Workspace, tmp_path: Path) -> None:
    snapshot = platform.open_snapshot()
    file = tmp_path / "choices.yaml"
    asked = Choices("extra_trees", ("contact", *sorted(families(snapshot)[:2])))
    asked.write(file, "of a test")
    assert Choices.read(file, snapshot) == Choices(asked.model, tuple(sorted(asked.without)))
    assert yaml.safe_load(file.read_text())["model"] == "extra_trees"
    file.unlink()
    with pytest.raises(ChoicesError, match="cannot be read"):
        Choices.read(file, snapshot)
