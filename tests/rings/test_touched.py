"""What a run on the run before finds anew, and what stays to the letter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

import rings
from graph_etl import Workspace
from graph_etl.build import build
from graph_etl.spec import load_spec
from rings.carried import Carried, account_prints, mixed, thing_prints
from rings.communities import CommunityConfig
from rings.links import Links
from rings.run import unpack
from rings.touched import MOVED, Standing, regrouped, same_rings, told_numbers
from tests.building import write_data
from tests.rings.drawing import GAME_SPEC, Game
from tests.rings.test_yardstick import platform

if TYPE_CHECKING:
    from pathlib import Path

    from graph_etl import Snapshot
    from rings import RingsRun


def grown(folder: Path, late: list[tuple[int, str]]) -> Snapshot:
    """The platform, and what came later appended to it: numbers of nodes and accounts stay."""
    workspace, later = Workspace(folder / "workspace"), Game()
    for at, (minute, device) in enumerate(late):
        later.signup(f"late{at}", 60_000.0 + minute, device, form_s=40 + at)
    for name, part in (("first", platform()), ("then", later))[: 2 if late else 1]:
        write_data(folder / name, GAME_SPEC, part.files)
        build(load_spec(folder / name / "spec.yaml"), workspace, append=name == "then")
    return workspace.open_snapshot()


def some_links(*triples: tuple[int, int, float]) -> Links:
    a, b, weight = zip(*sorted(triples), strict=True)
    n = len(a)
    return Links(
        np.array(a, np.int32),
        np.array(b, np.int32),
        np.array(weight, np.float32),
        np.ones(n, np.uint8),
        np.arange(n, dtype=np.int32),
    )


def rows(links: Links) -> list[tuple[int, int, float]]:
    columns = (links.a.tolist(), links.b.tolist(), links.weight.round(4).tolist())
    return [(a, b, round(weight, 4)) for a, b, weight in zip(*columns, strict=True)]


def by_ring(run: RingsRun) -> dict[str, dict[str, Any]]:
    """All that is told of each ring, without its place in the list of today."""
    explained = dict(zip(run.table["ring"], map(unpack, run.explanations), strict=True))
    for one in explained.values():
        for piece in one["evidence"]:
            piece.pop("q_value", None)
    members = {
        ring: group.drop("ring").to_dicts()
        for (ring,), group in run.members.sort("account").group_by("ring", maintain_order=True)
    }
    table = run.table.drop("rank", "q_value", "parents").to_dicts()
    return {row["ring"]: row | {"members": members[row["ring"]], **explained[row["ring"]]} for row in table}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, RingsRun]:
    snapshot = grown(tmp_path_factory.mktemp("before"), [])
    folder = tmp_path_factory.mktemp("run")
    rings.find(snapshot).write(folder)
    return snapshot, rings.RingsRun.open(folder)


@pytest.mark.parametrize("seed", range(4))
def test_untouched_rings_are_as_before_and_as_a_full_run_finds_them(
    before: tuple[Snapshot, RingsRun], tmp_path: Path, seed: int
) -> None:
    random = np.random.default_rng(seed)
    devices = random.choice(["rack0", "rack3", "sofa3", "sofa4", "new"], seed + 1)
    _, run = before
    snapshot = grown(tmp_path, [(int(random.integers(500)), str(device)) for device in devices])
    built = rings.find(snapshot, previous=run, base=run)
    # The same yardstick, and nothing else of the run before.
    whole = rings.find(snapshot, previous=run, base=replace(run, carried=None))
    old, now, full = by_ring(run), by_ring(built), by_ring(whole)
    touched = {f"f{device[-1]}-0" for device in devices if device.startswith("rack")}
    touched |= {f"h{device[-1]}-0" for device in devices if device.startswith("sofa")}
    hit = {run.ring_of(snapshot.account_index(name) or 0) for name in touched}
    gone = {ring[0] for ring in hit if ring is not None}
    untouched = [ring for ring in old if ring in now and now[ring] == old[ring]]
    assert built.manifest["counts"]["untouched"] == len(untouched)
    assert len(untouched) >= len(old) - 2 * len(devices) - 2
    assert not gone & set(untouched)
    for ring in untouched:
        one, other = (
            [(row["account_id"], row["role"]) for row in each[ring]["members"]] for each in (now, full)
        )
        assert one == other
        # A weight of a link hangs on the whole platform, in the sixth digit.
        assert now[ring]["density"] == pytest.approx(full[ring]["density"], rel=1e-4)
        # Likeness is a place among random pairs of the platform, and a p-value one of 88 steps here.
        assert now[ring]["p_value"] == pytest.approx(full[ring]["p_value"], rel=0.25)
        assert now[ring]["sentences"][0] == full[ring]["sentences"][0]
    # What was touched is told of by today's links, as a full run tells of it.
    for ring in gone:
        assert now[ring] == full[ring]


def test_without_events_nothing_is_told_anew_and_with_other_verdicts_only_what_they_reach(
    before: tuple[Snapshot, RingsRun],
) -> None:
    snapshot, run = before
    label = snapshot.labels().copy()
    assert rings.find(snapshot, previous=run, base=run).manifest["counts"]["untouched"] == run.table.height
    account = snapshot.account_index("f1-3")
    assert account is not None
    label[account] = 1
    built = rings.find(snapshot, previous=run, base=run, verdicts=label)
    found = run.ring_of(account)
    assert found is not None
    row = built.table.row(by_predicate=pl.col("ring") == found[0], named=True)
    assert row["n_known_bad"] == 1
    assert "confirmed bad" in row["words"]
    assert 0 < built.manifest["counts"]["untouched"] < run.table.height
    assert sorted(built.members["account_id"]) == sorted(run.members["account_id"])


def test_another_numbering_keeps_the_groups_and_tells_all_anew(
    before: tuple[Snapshot, RingsRun],
) -> None:
    snapshot, run = before
    assert run.carried is not None
    shuffled = replace(run, carried=replace(run.carried, names="00" * 16))
    built = rings.find(snapshot, previous=shuffled, base=shuffled)
    assert built.manifest["counts"]["untouched"] == 0
    assert by_ring(built) == by_ring(run)


def test_another_bundle_finds_anew_what_chance_makes(before: tuple[Snapshot, RingsRun]) -> None:
    snapshot, run = before
    scores = np.linspace(0.2, 0.9, snapshot.n_accounts)
    built = rings.find(snapshot, scores, previous=run, base=run, bundle="b2")
    assert built.manifest["taken_over"] == []
    assert built.manifest["base"]["run"] == run.id
    assert built.yardstick is not None
    assert run.yardstick is not None
    assert built.yardstick.places == run.yardstick.places


def standing(links: Links, stirred: list[int], n: int) -> Standing:
    marks = np.zeros(n, np.bool_)
    marks[stirred] = True
    none = np.zeros(0, np.uint64)
    carried = Carried(links, none, none, none, none, np.zeros(0), np.zeros(0), 0, "")
    run: Any = None
    return Standing(run, carried, links, np.full(n, -1, np.int32), marks, True, np.zeros(0, np.int64))


def test_links_of_the_untouched_keep_their_weight_until_it_has_moved() -> None:
    old = some_links((0, 1, 0.5), (0, 2, 0.5), (1, 2, 0.5), (3, 4, 0.12), (4, 5, 0.4))
    slight = 0.5 + 0.9 * MOVED
    new = some_links((0, 1, slight), (0, 2, 0.5 + 1.1 * MOVED), (1, 2, slight), (5, 6, 0.13), (6, 7, 0.3))
    settled = standing(old, [1], 8).settled(new, least=0.1)
    # 0-2 moved; 3-4 and 5-6 are too weak to count as gone or new; 4-5 is gone, 6-7 new.
    assert np.flatnonzero(settled.moved).tolist() == [0, 2, 4, 5, 6, 7]
    everyone = np.ones(8, np.bool_)
    assert rows(settled.links(everyone)) == [
        (0, 1, round(slight, 4)),
        (0, 2, round(0.5 + 1.1 * MOVED, 4)),
        (1, 2, round(slight, 4)),
        (3, 4, 0.12),
        (6, 7, 0.3),
    ]
    # Where no ring stands, all is as it is today.
    assert rows(settled.links(~everyone)) == rows(new)
    assert np.flatnonzero(settled.touched).tolist() == [0, 1, 2, 4, 5, 6, 7]


def test_only_groups_with_a_moved_link_are_grouped_anew() -> None:
    config = CommunityConfig(resolution=0.2)
    one = [(0, 1, 0.9), (0, 2, 0.9), (1, 2, 0.9)]
    # A group that Leiden would never make stays, for nothing of it moved.
    odd = np.array([0, 0, 0, 1, 1, 1, -1, -1], np.int32)
    moved = np.zeros(8, np.bool_)
    moved[[0, 6]] = True
    found = regrouped(some_links(*one, (0, 6, 0.9), (1, 6, 0.9), (2, 6, 0.9)), odd, moved, config, 0)
    assert found.tolist() == [0, 0, 0, 1, 1, 1, 0, -1]
    nothing = regrouped(some_links(*one), odd, np.zeros(8, np.bool_), config, 0)
    assert nothing.tolist() == odd.tolist()


def test_rings_are_the_same_only_member_by_member() -> None:
    was = np.array([3, 3, 3, 5, 5, -1, 7, 7], np.int32)
    now = np.array([0, 0, 0, 1, 1, 1, 2, -1], np.int32)
    assert same_rings(was, now).tolist() == [3, -1, -1]
    assert told_numbers(now, np.array([0, 2])).tolist() == [0, 0, 0, -1, -1, -1, 1, -1]


def test_prints_tell_what_accounts_did_and_nothing_of_others(
    before: tuple[Snapshot, RingsRun], tmp_path: Path
) -> None:
    first, _ = before
    then = grown(tmp_path, [(30, "sofa3")])
    one, two = (account_prints(each, each.labels()) for each in (first, then))
    assert (one == two[: len(one)]).all()
    label = then.labels().copy()
    label[5] = 1 - label[5]
    assert np.flatnonzero(account_prints(then, label) != two).tolist() == [5]
    names = {name: at for at, name in enumerate(then.account_ids.to_list())}
    member = np.full(then.n_accounts, -1, np.int32)
    for at in range(4):
        member[names[f"h3-{at}"]], member[names[f"h4-{at}"]] = 0, 1
    before_it, after = thing_prints(first, member[: len(one)], 2), thing_prints(then, member, 2)
    assert (before_it == after).tolist() == [False, True]
    kinds = {int(mixed(np.uint64(kind), np.arange(3), np.arange(3))[1]) for kind in range(50)}
    assert len(kinds) == 50
