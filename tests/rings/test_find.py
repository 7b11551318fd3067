"""Finding rings, whole: the planted ones come out, explained, with ids that last."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import rings
from graph_etl import Snapshot
from rings import RingsError, RingsRun, RingUnknown
from rings.pictures import MOST_NODES
from tests.building import PLATFORM_SPEC, build_from_text, platform_files
from tests.rings.drawing import Game, bridge, marked_as_hub


@pytest.fixture(scope="module")
def run(timed_snapshot: Snapshot) -> RingsRun:
    return rings.find(timed_snapshot)


def members_of(run: RingsRun, ring: str) -> set[str]:
    return set(run.members.filter(pl.col("ring") == ring)["account_id"])


def ring_with(run: RingsRun, account_id: str) -> str:
    return str(run.members.filter(pl.col("account_id") == account_id)["ring"][0])


@pytest.mark.parametrize(("farm", "size"), [("farm", 14), ("mill", 10)])
def test_the_planted_farms_are_found_and_significant(run: RingsRun, farm: str, size: int) -> None:
    ring = ring_with(run, f"{farm}00")
    assert members_of(run, ring) == {f"{farm}{at:02}" for at in range(size)}
    row = run.table.row(by_predicate=pl.col("ring") == ring, named=True)
    assert row["q_value"] < 0.05
    assert row["rank"] <= 2
    assert row["words"].startswith(f"{size} accounts on ")
    assert row["n_known_bad"] == {"farm": 6, "mill": 5}[farm]


def test_a_campus_behind_one_address_is_no_ring(run: RingsRun, timed_snapshot: Snapshot) -> None:
    assert "198.51.100.7" not in timed_snapshot.node_keys.to_list()  # hashed, as it should be
    campus = {f"h{at:03}" for at in range(60)}
    significant = run.table.filter(pl.col("q_value") < 0.05)["ring"]
    caught = [len(members_of(run, ring) & campus) for ring in significant]
    assert max(caught, default=0) <= 3


def test_tables_fit_together(run: RingsRun, timed_snapshot: Snapshot) -> None:
    assert run.table["rank"].to_list() == list(range(1, run.table.height + 1))
    assert run.table["ring"].is_unique().all()
    assert run.members["account"].is_unique().all()
    sizes = dict(run.members.group_by("ring").len().iter_rows())
    assert sizes == dict(run.table.select("ring", "size").iter_rows())
    assert run.table["score"].is_between(0, 1).all()
    assert run.members["weight"].is_between(0, 1).all()
    assert set(run.members["role"]) <= set(rings.roles.ROLES)
    first = run.members.row(0, named=True)
    assert timed_snapshot.account_ids[first["account"]] == first["account_id"]
    assert run.ring_of(first["account"]) == (first["ring"], first["role"])
    outside = next(at for at in range(timed_snapshot.n_accounts) if at not in set(run.members["account"]))
    assert run.ring_of(outside) is None


def test_an_explanation_holds_what_a_person_needs(run: RingsRun) -> None:
    ring = ring_with(run, "farm00")
    explained = run.explain(ring)
    assert explained["words"] == run.table.filter(pl.col("ring") == ring)["words"][0]
    weights = [piece["weight"] for piece in explained["evidence"]]
    assert weights == sorted(weights, reverse=True)
    assert [piece["id"] for piece in explained["evidence"]] == [f"e{at + 1}" for at in range(len(weights))]
    assert run.evidence(ring) == explained["evidence"]
    times = [moment["time_ms"] for moment in explained["timeline"]]
    assert times == sorted(times)
    assert len(times) >= 14
    nodes = {node["id"] for node in explained["subgraph"]["nodes"]}
    assert {edge[end] for edge in explained["subgraph"]["edges"] for end in ("source", "target")} <= nodes
    assert sum(node.get("member", False) for node in explained["subgraph"]["nodes"]) == 14
    json.dumps(explained)


def test_a_run_reads_as_it_was_written(run: RingsRun, tmp_path: Path) -> None:
    run.write(tmp_path / "run")
    again = RingsRun.open(tmp_path / "run")
    assert again.id == run.id
    assert again.table.equals(run.table)
    assert again.members.equals(run.members)
    for ring in run.table["ring"]:
        assert again.explain(ring) == run.explain(ring)


def test_two_runs_are_the_same(run: RingsRun, timed_snapshot: Snapshot) -> None:
    again = rings.find(timed_snapshot)
    assert again.id == run.id
    assert again.table.equals(run.table)
    assert list(again.explanations) == list(run.explanations)


def test_ids_last_when_one_event_in_a_hundred_is_gone(run: RingsRun, tmp_path: Path) -> None:
    files = platform_files()
    header, *logins = files["logins.csv"].splitlines()
    gift_header, *gifts = files["gifts.csv"].splitlines()
    kept = np.random.default_rng(5).random(len(logins) + len(gifts)) > 0.01
    fewer = files | {
        "logins.csv": "\n".join([header, *(row for row, keep in zip(logins, kept, strict=False) if keep)]),
        "gifts.csv": "\n".join(
            [gift_header, *(row for row, keep in zip(gifts, kept[len(logins) :], strict=False) if keep)]
        ),
    }
    assert not kept.all()
    smaller = build_from_text(tmp_path, PLATFORM_SPEC, fewer).snapshot
    later = rings.find(smaller, previous=run)
    assert ring_with(later, "farm00") == ring_with(run, "farm00")
    assert ring_with(later, "mill00") == ring_with(run, "mill00")
    kept_ids = set(later.table["ring"]) & set(run.table["ring"])
    assert len(kept_ids) >= 0.9 * run.table.height
    assert later.manifest["previous"] == run.id
    assert set(later.manifest["ended"]) == set(run.table["ring"]) - kept_ids


def test_verdicts_change_words_and_counts_but_no_ring(run: RingsRun, timed_snapshot: Snapshot) -> None:
    nobody = rings.find(timed_snapshot, verdicts=np.zeros(timed_snapshot.n_accounts, np.int8))
    columns = ["ring", "rank", "score", "size", "density", "synchrony", "p_value", "q_value"]
    assert nobody.table.select(columns).equals(run.table.select(columns))
    assert nobody.members.equals(run.members)
    assert nobody.table["n_known_bad"].sum() == 0
    assert run.table["n_known_bad"].sum() > 10
    assert nobody.table["words"].str.contains("no account at all is confirmed bad", literal=True).all()
    assert not run.table["words"].str.contains("no account at all", literal=True).any()


def test_scores_rank_and_unknown_ones_do_not_hurt(timed_snapshot: Snapshot, run: RingsRun) -> None:
    scores = np.full(timed_snapshot.n_accounts, 0.02)
    mill = run.members.filter(pl.col("ring") == ring_with(run, "mill00"))["account"].to_numpy()
    scores[mill] = 0.99
    scores[::7] = np.nan
    ranked = rings.find(timed_snapshot, scores)
    assert ranked.table["ring"][0] == ring_with(run, "mill00")
    assert (
        ranked.members.select("account", "ring")
        .sort("account")
        .equals(run.members.select("account", "ring").sort("account"))
    )
    assert ranked.table["score"].is_not_nan().all()


def test_a_platform_without_times_has_rings_without_synchrony(untimed_snapshot: Snapshot) -> None:
    run = rings.find(untimed_snapshot)
    assert run.table["synchrony"].null_count() == run.table.height
    ring = ring_with(run, "0")
    assert members_of(run, ring) >= {str(at) for at in range(8)}
    assert run.explain(ring)["timeline"] == []


def test_a_hub_neither_joins_a_ring_nor_appears_in_one(tmp_path: Path) -> None:
    game = Game()
    game.strangers(120, 60.0 * 24 * 60)
    for at in range(40):
        game.signup(f"guest{at:02}", 1500.0 * at, "kiosk", form_s=20 + 2 * at)
    plain = game.build(tmp_path / "plain")
    hub = marked_as_hub(plain, tmp_path / "hub", "device", "kiosk")
    run = rings.find(hub)
    kiosk = hub.node_index("device", "kiosk")
    for ring in run.table["ring"]:
        explained = run.explain(ring)
        assert "kiosk" not in json.dumps(explained)
        assert kiosk not in {node["id"] for node in explained["subgraph"]["nodes"]}
    guests = {f"guest{at:02}" for at in range(40)}
    significant = run.table.filter(pl.col("q_value") < 0.05)["ring"]
    assert max((len(members_of(run, ring) & guests) for ring in significant), default=0) <= 3


def test_a_large_ring_is_drawn_with_at_most_300_nodes(tmp_path: Path) -> None:
    first_use = {f"x{at:03}": 200.0 * at for at in range(300)} | {
        f"m{at:02}": 30_000.0 + at for at in range(50)
    }
    transfers = [("root", f"m{at:02}", "tokens") for at in range(50)]
    for at in range(350):
        transfers += [(f"m{at % 50:02}", f"w{at}", "tokens"), (f"m{(at + 1) % 50:02}", f"w{at}", "tokens")]
    run = rings.find(bridge(tmp_path, first_use, transfers))
    ring = ring_with(run, "m00")
    assert len(members_of(run, ring)) == 50
    picture = run.explain(ring)["subgraph"]
    assert len(picture["nodes"]) == MOST_NODES  # of 50 members, the root and 350 others
    assert sum(node.get("member", False) for node in picture["nodes"]) == 50


def test_a_platform_without_any_link_has_no_rings(tmp_path: Path) -> None:
    game = Game()
    for at in range(3):
        game.signup(f"a{at}", 100_000.0 * at)
    run = rings.find(game.build(tmp_path / "data"))
    run.write(tmp_path / "run")
    again = RingsRun.open(tmp_path / "run")
    assert again.table.height == 0
    assert again.members.height == 0


def test_an_unknown_ring_and_a_missing_run_say_what_to_do(run: RingsRun, tmp_path: Path) -> None:
    with pytest.raises(RingUnknown, match="holds no ring 'r0000000000'; `ringwatch rings` lists"):
        run.explain("r0000000000")
    with pytest.raises(RingsError, match="no rings run there; make one with `ringwatch rings`"):
        RingsRun.open(tmp_path)


def test_what_something_honest_explains_comes_after_the_suspicious_and_before_chance(run: RingsRun) -> None:
    place = [
        2 if q_value >= 0.05 else int(honest >= 0.8)
        for q_value, honest in run.table.select("q_value", "honest").iter_rows()
    ]
    # Verdicts move no ring, so a ring with known bad members may stand among the explained.
    told = run.table["n_known_bad"] == 0
    assert [at for at, plain in zip(place, told, strict=True) if plain] == sorted(
        at for at, plain in zip(place, told, strict=True) if plain
    )
    assert place[0] == 0
    for ring, honest in run.table.select("ring", "honest").iter_rows():
        (piece,) = [piece for piece in run.evidence(ring) if piece["type"] == "honest"]
        assert piece["explained_benign"] == (honest >= 0.8)
