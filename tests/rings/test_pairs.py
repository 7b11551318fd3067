"""The pair model: learned from known groups of role train alone, kept where it ranks unseen ones better."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rings
from graph_etl import Snapshot
from rings.behaviour import NEIGHBOURS
from rings.links import LinkConfig
from rings.pairs import PairModel, Pairs, _in_common, _known_groups, learn_pairs, pair_columns
from rings.weighing import Weighing
from tests.rings.drawing import Game, troupes, with_cut


def pairs_of(snapshot: Snapshot) -> Pairs:
    return Weighing(snapshot, snapshot.end_horizon, LinkConfig()).pairs(rings.links(snapshot))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, list[list[int]]]:
    return troupes(tmp_path_factory.mktemp("troupes"), seed=1)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(1, 9)), max_size=30),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=10),
)
def test_common_neighbours_are_those_of_sets(
    edges: list[tuple[int, int, int]], asked: list[tuple[int, int]]
) -> None:
    weight = dict(sorted({(min(a, b), max(a, b)): w / 10 for a, b, w in edges if a != b}.items()))
    ends = np.array(list(weight), np.int32).reshape(-1, 2)
    values = np.array(list(weight.values()), np.float32)
    a, b = np.array(asked, np.int32).T.copy()
    count, product = _in_common(a, b, ends[:, 0].copy(), ends[:, 1].copy(), values, 9)
    around = [{(set(pair) - {at}).pop(): w for pair, w in weight.items() if at in pair} for at in range(9)]
    for row, (one, other) in enumerate(asked):
        common = around[one].keys() & around[other].keys()
        assert count[row] == len(common)
        assert product[row] == pytest.approx(sum(around[one][at] * around[other][at] for at in common))


def test_pairs_are_links_and_neighbours_each_once(platform: tuple[Snapshot, list[list[int]]]) -> None:
    snapshot, _ = platform
    links, pairs = rings.links(snapshot), pairs_of(snapshot)
    key = pairs.links.a.astype(np.int64) * snapshot.n_accounts + pairs.links.b
    assert (np.diff(key) > 0).all()
    linked = pairs.links.weight > 0
    np.testing.assert_array_equal(pairs.links.take(linked).weight, links.weight)
    near = set(zip(pairs.neighbours.a.tolist(), pairs.neighbours.b.tolist(), strict=True))
    bare = pairs.links.take(~linked)
    assert set(zip(bare.a.tolist(), bare.b.tolist(), strict=True)) <= near
    rows = pairs.features(np.arange(len(pairs)))
    names = pair_columns(pairs.profiles.shape[1])
    assert rows.shape == (len(pairs), len(names))
    column = dict(zip(names, rows.T, strict=True))
    np.testing.assert_array_equal(column["weight"], pairs.links.weight)
    assert (
        (column["rank_better"] < NEIGHBOURS)
        == [pair in near for pair in zip(pairs.links.a.tolist(), pairs.links.b.tolist(), strict=True)]
    ).all()
    # In parts as in one go.
    np.testing.assert_array_equal(pairs.features(np.array([7, 230, 3])), rows[[7, 230, 3]])


def test_a_pair_that_a_person_cut_is_none(platform: tuple[Snapshot, list[list[int]]], tmp_path: Path) -> None:
    snapshot, groups = platform
    one, other = groups[1][:2]
    was = pairs_of(snapshot)
    now = pairs_of(with_cut(snapshot, tmp_path / "cut", one, other))
    assert len(was) - len(now) == 1
    gone = set(zip(was.links.a.tolist(), was.links.b.tolist(), strict=True)) - set(
        zip(now.links.a.tolist(), now.links.b.tolist(), strict=True)
    )
    assert gone == {(min(one, other), max(one, other))}


def test_it_learns_who_acts_together_without_sharing_anything(
    platform: tuple[Snapshot, list[list[int]]],
) -> None:
    snapshot, groups = platform
    pairs = pairs_of(snapshot)
    model = learn_pairs(snapshot, pairs)
    assert model is not None
    assert model.metrics["groups"] == len(groups)
    figures = model.metrics["held_out"]
    assert figures["model"] > figures["links"] + 0.2
    probability = model.probability(pairs)
    troupe = np.full(snapshot.n_accounts, -1)
    for at, members in enumerate(groups):
        troupe[members] = at
    same = (troupe[pairs.links.a] >= 0) & (troupe[pairs.links.a] == troupe[pairs.links.b])
    assert np.median(probability[same]) > 0.8
    assert np.median(probability[~same]) < 0.05
    again = learn_pairs(snapshot, pairs)
    assert again == model


def test_groups_that_judge_teach_nothing(platform: tuple[Snapshot, list[list[int]]], tmp_path: Path) -> None:
    snapshot, _ = troupes(tmp_path, seed=1, role="judge")
    assert snapshot.groups.filter(pl.col("role") == "judge").height
    assert learn_pairs(snapshot, pairs_of(snapshot)) is None


def test_few_groups_teach_nothing(tmp_path: Path) -> None:
    snapshot, _ = troupes(tmp_path, seed=1, told=12)
    assert learn_pairs(snapshot, pairs_of(snapshot)) is None


def test_groups_dealt_out_at_random_teach_nothing(tmp_path: Path) -> None:
    snapshot, _ = troupes(tmp_path, seed=1, shuffled=True)
    assert learn_pairs(snapshot, pairs_of(snapshot)) is None


def test_where_nobody_is_known_to_be_good_strangers_are_no_rings(tmp_path: Path) -> None:
    for seed in (5, 7):
        snapshot, groups = troupes(
            tmp_path / str(seed), seed, n_troupes=24, n_strangers=700, good=False, drift=True
        )
        run = rings.find(snapshot)
        assert run.manifest["pair_model"] is not None
        members = set(np.concatenate(groups).tolist())
        sure = run.members.join(run.table.filter(pl.col("q_value") < 0.05), on="ring")
        strange = sure.group_by("ring").agg((~pl.col("account").is_in(list(members))).mean().alias("share"))
        # Behaviour that drifts with time is not in the null model: the false discovery rate aimed at is 5 %.
        assert (strange["share"] > 0.5).sum() <= 0.1 * strange.height
        assert strange.height >= 16


def test_verdicts_that_are_hidden_teach_nothing(platform: tuple[Snapshot, list[list[int]]]) -> None:
    snapshot, _ = platform
    pairs = pairs_of(snapshot)
    nobody = np.full(snapshot.n_accounts, -1, np.int8)
    assert learn_pairs(snapshot, pairs, verdicts=nobody) != learn_pairs(snapshot, pairs)
    told, hidden = rings.find(snapshot), rings.find(snapshot, verdicts=nobody)
    assert told.id != hidden.id


def test_an_account_of_two_groups_acts_together_with_both(tmp_path: Path) -> None:
    snapshot, groups = troupes(tmp_path, seed=1)
    both = pl.DataFrame(
        {"account": [groups[0][0]], "group": ["g1"], "role": ["train"], "mapping": [0]},
        schema=snapshot.groups.schema,
    )
    pl.concat([snapshot.groups, both]).write_parquet(snapshot.path / "groups.parquet")
    again = Snapshot.open(snapshot.path)
    known = _known_groups(again)
    assert known.shape[1] == len(groups)
    one, first, second = groups[0][0], groups[0][1], groups[1][1]
    assert known[[one]].multiply(known[[first]]).sum() == 1
    assert known[[one]].multiply(known[[second]]).sum() == 1
    assert known[[first]].multiply(known[[second]]).sum() == 0
    assert learn_pairs(again, pairs_of(again)) is not None


def test_accounts_of_one_time_are_no_places_apart(tmp_path: Path) -> None:
    game = Game()
    for at in range(60):
        game.signup(f"a{at:02}", 60.0 * (at // 20), form_s=float(at % 7))
    pairs = pairs_of(game.build(tmp_path))
    names = pair_columns(pairs.profiles.shape[1])
    column = dict(zip(names, pairs.features(np.arange(len(pairs))).T, strict=True))
    together = column["gap_hours"] == 0
    assert together.any()
    assert not column["places_apart"][together].any()
    assert (column["places_apart"][~together] > 0).all()


def test_profiles_of_another_width_are_refused(platform: tuple[Snapshot, list[list[int]]]) -> None:
    with pytest.raises(ValueError, match="the pair model has learned from 2"):
        PairModel("", 2, {}).probability(pairs_of(platform[0]))


def test_rings_of_unknown_troupes_are_found_with_what_known_ones_taught(tmp_path: Path) -> None:
    snapshot, groups = troupes(tmp_path, seed=2, n_troupes=60, told=40)
    run = rings.find(snapshot)
    assert run.manifest["pair_model"]["groups"] == 40
    home = dict(zip(run.members["account"].to_list(), run.members["ring"].to_list(), strict=True))
    found = 0
    for members in groups[40:]:
        rings_of = [home.get(member) for member in members]
        best = max(set(rings_of), key=rings_of.count)
        size = sum(ring == best for ring in home.values())
        found += best is not None and rings_of.count(best) >= 4 and size <= 8
    assert found >= 16
    # Families share a device and nothing else, and were known to be good: none of theirs is a ring.
    families = [at for at, account in enumerate(snapshot.account_ids) if str(account).startswith("f")]
    assert sum(account in home for account in families) <= 0.1 * len(families)
    run.write(tmp_path / "run")
    assert rings.RingsRun.open(tmp_path / "run").pair_model == run.pair_model
    assert run.pair_model is not None
    assert rings.find(snapshot).id == run.id


def test_scores_draw_the_weights_of_the_good_down(platform: tuple[Snapshot, list[list[int]]]) -> None:
    snapshot, groups = platform
    links = rings.links(snapshot)
    plain = Weighing(snapshot, snapshot.end_horizon, LinkConfig())
    pairs = plain.pairs(links)
    model = learn_pairs(snapshot, pairs)
    good, unknown = groups[3], groups[4]
    scores = np.full(snapshot.n_accounts, np.nan)
    scores[good] = 0.0
    without = Weighing(snapshot, snapshot.end_horizon, LinkConfig(), None, model).weighed(links, pairs)
    scored = Weighing(snapshot, snapshot.end_horizon, LinkConfig(), scores, model).weighed(links, pairs)

    def inner(found: rings.Links, members: list[int]) -> float:
        return float(found.weight[np.isin(found.a, members) & np.isin(found.b, members)].sum())

    assert inner(scored, unknown) == inner(without, unknown)
    assert inner(scored, good) == pytest.approx(0.3 * inner(without, good), rel=1e-5)
    assert plain.weighed(links) is links
