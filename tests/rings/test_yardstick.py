"""Runs that build on an earlier one: what they take over, what they find anew, and when they may not."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

import rings
from rings.behaviour import ranked
from rings.yardstick import CannotBuildOn, Yardstick, why_anew
from tests.rings.drawing import Game

if TYPE_CHECKING:
    from pathlib import Path

    from graph_etl import Snapshot
    from rings import RingsRun


def platform() -> Game:
    """Strangers, five farms and ten households."""
    drawn = Game()
    drawn.strangers(150, 60.0 * 24 * 40)
    for farm in range(5):
        for at in range(8):
            drawn.signup(f"f{farm}-{at}", 9000.0 * farm + 4 * at, f"rack{farm}", form_s=6.0)
        for at in range(7):
            drawn.gift(f"f{farm}-{at + 1}", f"f{farm}-0", 9000.0 * farm + 60)
    for house in range(10):
        for at in range(4):
            drawn.signup(f"h{house}-{at}", 4000.0 * house + 1500 * at, f"sofa{house}", form_s=20 + 9 * at)
    return drawn


def game(folder: Path, late: list[tuple[int, str]] | None = None) -> Snapshot:
    """The platform; some accounts come last, on its devices or on new ones."""
    drawn = platform()
    for at, (minute, device) in enumerate(late or []):
        drawn.signup(f"late{at}", 60_000.0 + minute, device, form_s=40 + at)
    return drawn.build(folder)


def told(run: RingsRun, ring: str) -> dict[str, Any]:
    """What is said of a ring, without the size of the platform and without what the null model moves."""
    row = run.table.row(by_predicate=pl.col("ring") == ring, named=True)
    explained = run.explain(ring)
    return {
        "members": run.members.filter(pl.col("ring") == ring).drop("ring").to_dicts(),
        "density": row["density"],
        "synchrony": row["synchrony"],
        "sentences": [
            re.sub(r"of [\d,]+ accounts touch it", "touch it", sentence["text"])
            for sentence in explained["sentences"]
            if "coincidence" not in sentence["text"] and "chance makes" not in sentence["text"]
        ],
        "timeline": explained["timeline"],
        "subgraph": explained["subgraph"],
    }


def of_members(about: dict[str, Any]) -> dict[str, Any]:
    """What is said of members, without numbers of nodes and without what compares with random pairs."""
    return {
        "members": [(row["account_id"], row["role"], row["weight"]) for row in about["members"]],
        "sentences": [text for text in about["sentences"] if "honest" not in text],
        "events": [(moment["time"], moment["event"]) for moment in about["timeline"]],
    }


def named_links(snapshot: Snapshot) -> dict[str, dict[str, tuple[float, int]]]:
    """The links of each account by names, which last when a snapshot is built anew."""
    found = rings.links(snapshot)
    names = snapshot.account_ids.to_list()
    around: dict[str, dict[str, tuple[float, int]]] = {}
    for a, b, weight, source in zip(found.a, found.b, found.weight, found.source, strict=True):
        for one, other in ((names[a], names[b]), (names[b], names[a])):
            around.setdefault(one, {})[other] = (float(weight), int(source))
    return around


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, RingsRun]:
    snapshot = game(tmp_path_factory.mktemp("before"))
    return snapshot, rings.find(snapshot)


def test_a_run_that_builds_on_itself_is_the_same(before: tuple[Snapshot, RingsRun], tmp_path: Path) -> None:
    snapshot, run = before
    run.write(tmp_path / "run")
    opened = rings.RingsRun.open(tmp_path / "run")
    again = rings.find(snapshot, previous=opened, base=opened)
    assert again.table.equals(run.table.with_columns(parents=again.table["parents"]))
    assert again.members.equals(run.members)
    assert list(again.explanations) == list(run.explanations)
    assert again.manifest["base"]["run"] == run.id
    assert again.manifest["taken_over"] == ["null model"]
    assert again.manifest["changed"] == {
        "unchanged": run.table.height,
        **dict.fromkeys(("other_ties", "other_members", "new", "ended"), 0),
    }
    assert run.manifest["taken_over"] == []
    third = rings.find(snapshot, previous=again, base=again)
    assert third.manifest["base"] == again.manifest["base"]


@pytest.mark.parametrize("seed", range(5))
def test_what_nobody_touched_is_as_a_whole_run_finds_it(
    before: tuple[Snapshot, RingsRun], tmp_path: Path, seed: int
) -> None:
    random = np.random.default_rng(seed)
    devices = ["rack0", "sofa3", "sofa4", "new", "newer"]
    late = [(int(random.integers(500)), str(random.choice(devices))) for _ in range(seed)]
    late.append((250, "sofa3"))
    first_snapshot, run = before
    snapshot = game(tmp_path, late)
    built, whole = (rings.find(snapshot, previous=run, base=base) for base in (run, None))
    # Links, groups and ties are those of a whole run, of every ring.
    assert built.members.sort("account").equals(whole.members.sort("account"))
    assert set(built.table["ring"]) == set(whole.table["ring"])
    first, then = named_links(first_snapshot), named_links(snapshot)
    untouched = [
        ring
        for ring, names in run.members.group_by("ring").agg("account_id").iter_rows()
        if all(first.get(name) == then.get(name) for name in names)
    ]
    assert len(untouched) >= 3
    for ring in built.table["ring"]:
        assert told(built, ring) == told(whole, ring)
    for ring in untouched:
        assert of_members(told(built, ring)) == of_members(told(run, ring))
    assert built.manifest["changed"]["unchanged"] >= len(untouched)
    assert built.manifest["changed"]["unchanged"] < run.table.height


def test_another_platform_is_measured_anew(before: tuple[Snapshot, RingsRun], tmp_path: Path) -> None:
    snapshot, run = before
    assert why_anew(snapshot, run.manifest, {"seed": 0, "bundle": None}) is None
    for asked, why in (
        ({"seed": 1}, "another seed"),
        ({"bundle": "b1"}, "another bundle"),
        ({"links": {"direct": 2.0}}, "another links"),
    ):
        assert why in str(why_anew(snapshot, run.manifest, asked))
    crowd = game(tmp_path / "crowd", [(at, f"own{at}") for at in range(40)])
    with pytest.raises(CannotBuildOn, match="270 accounts, where 230 were measured"):
        rings.find(crowd, base=run)
    with pytest.raises(CannotBuildOn, match="another seed"):
        rings.find(snapshot, base=run, seed=5)
    old = {name: value for name, value in run.manifest.items() if name != "base"}
    with pytest.raises(CannotBuildOn, match="kept nothing to measure by"):
        rings.find(snapshot, base=replace(run, manifest=old))
    other = {**run.manifest, "base": {**run.manifest["base"], "code": "0" * 16}}
    with pytest.raises(CannotBuildOn, match="another version of ringwatch"):
        rings.find(snapshot, base=replace(run, manifest=other))


def test_ranks_of_before_place_old_values_as_before_and_new_ones_between() -> None:
    profiles = np.array([[1.0, 5.0], [3.0, 5.0], [3.0, 5.0], [9.0, 5.0]], np.float32)
    whole = ranked(profiles, np.arange(4))
    stick = Yardstick(
        np.zeros(0),
        np.zeros(0),
        1,
        1.0,
        0,
        (0,),
        (np.array([1.0, 3.0, 9.0], np.float32),),
        (np.array([-0.75, 0.0, 0.75], np.float32),),
    )
    np.testing.assert_array_equal(stick.ranked(profiles), whole)
    new = np.array([[0.0, 1.0], [6.0, 2.0], [99.0, 3.0]], np.float32)
    np.testing.assert_allclose(stick.ranked(new), [[-0.75], [0.375], [0.75]])
    again = Yardstick.of(stick.arrays)
    np.testing.assert_array_equal(again.ranked(new), stick.ranked(new))
    assert (again.places, again.runs, again.share, again.most) == ((0,), 1, 1.0, 0)
    bare = Yardstick(np.array([0.5]), np.array([1.0]), 2, 0.5, 7)
    assert Yardstick.of(bare.arrays).places is None
    assert Yardstick.of(bare.arrays).runs == 2
