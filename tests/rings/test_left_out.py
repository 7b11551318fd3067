"""Why accounts that look linked were left out."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import rings
from graph_etl import Snapshot
from rings.left_out import MOST, left_out, left_out_words, named_rings
from rings.links import Links
from tests.building import build_from_text, csv_text
from tests.rings.drawing import TROUPES_SPEC, Game, indices, marked_as_hub
from tests.rings.test_minimal import grounds_of

DAY = 60.0 * 24
RING = [f"m{at}" for at in range(6)]


def platform() -> Game:
    game = Game()
    game.strangers(120, 60 * DAY)
    for at, name in enumerate(RING):
        game.signup(name, 20 * DAY + at, "phone", form_s=10)
    return game


def linked(snapshot: Snapshot, *weights: tuple[str, str, float]) -> Links:
    """Links that the test draws itself."""
    rows = sorted(
        (*sorted((indices(snapshot, [a])[0], indices(snapshot, [b])[0])), weight) for a, b, weight in weights
    )
    return Links(
        np.array([row[0] for row in rows], np.int32),
        np.array([row[1] for row in rows], np.int32),
        np.array([row[2] for row in rows], np.float32),
        np.ones(len(rows), np.uint8),
        np.full(len(rows), -1, np.int32),
    )


def within(*names: str, weight: float = 0.5) -> list[tuple[str, str, float]]:
    return [(a, b, weight) for at, a in enumerate(names) for b in names[at + 1 :]]


def told(snapshot: Snapshot, *groups: list[str], links: Links) -> dict[str, dict[str, Any]]:
    grounds = grounds_of(snapshot, *groups, links=links)
    return {entry["account_id"]: entry for entry in left_out(grounds)[0]}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return platform().build(tmp_path_factory.mktemp("platform"))


@pytest.mark.parametrize(
    ("links", "code"),
    [
        pytest.param([("x0001", "m0", 0.049), ("x0001", "m1", 0.04)], "weak_links", id="below-weak"),
        # .17 / 6 = .0283 on average over all; a member needs .06 * .5 = .03
        pytest.param([("x0001", "m0", 0.17)], "few_links", id="one-of-six"),
        # .19 / 6 = .0317, below the .06 that a ring asks for
        pytest.param([("x0001", "m0", 0.19)], "loose", id="loosely"),
        pytest.param([("x0001", "m0", 0.5)], "not_joined", id="would-have-done"),
        pytest.param([("x0001", "m0", 0.5), ("x0001", "x0002", 0.6)], "too_few", id="a-pair-elsewhere"),
    ],
)
def test_linked_accounts_have_their_reason(
    snapshot: Snapshot, links: list[tuple[str, str, float]], code: str
) -> None:
    entry = told(snapshot, RING, links=linked(snapshot, *within(*RING), *links))["x0001"]
    assert entry["code"] == code
    assert entry["links"] == sum("m" in pair[1] for pair in links)
    assert entry["strength"] == pytest.approx(links[0][2], abs=1e-4)


def test_members_of_another_ring_are_told_of_with_its_id(snapshot: Snapshot) -> None:
    other = ["x0001", "x0002", "x0003"]
    links = linked(snapshot, *within(*RING), *within(*other, weight=0.8), ("x0001", "m0", 0.6))
    entry = told(snapshot, RING, other, links=links)["x0001"]
    assert (entry["code"], entry["mean"], entry["other_mean"]) == ("other_ring", 0.1, 0.8)
    (named,) = named_rings([entry], ["r1", "r2"])
    assert (
        named["words"]
        == "account x0001 is in ring r2: linked by 0.800 on average over all there, by 0.100 here"
    )
    assert "other" not in named


def test_a_person_who_cut_a_pair_is_the_reason(snapshot: Snapshot, tmp_path: Path) -> None:
    shutil.copytree(snapshot.path, tmp_path / "cut")
    low, high = sorted(indices(snapshot, ["x0001", "m0"]))
    pl.DataFrame(
        [{"account": low, "other": high, "until_ms": None, "known_pos": 0, "undone_pos": None}],
        schema=snapshot.cuts.schema,
    ).write_parquet(tmp_path / "cut" / "cuts.parquet")
    cut = Snapshot.open(tmp_path / "cut")
    links = linked(cut, *within(*RING), ("x0001", "m1", 0.5))
    entry = told(cut, RING, links=links)["x0001"]
    assert (entry["code"], entry["cut"]) == ("cut_by_person", 1)
    assert left_out_words(entry) == "account x0001 was called not linked with 1 member by a person"


def test_who_shares_a_rare_thing_without_a_link_behaves_otherwise(tmp_path: Path) -> None:
    game = platform()
    game.signup("guest", 55 * DAY, "phone", form_s=5_000_000)
    for at in range(40):
        game.gift("guest", f"x{at:04}", 55 * DAY + at)
    snapshot = game.build(tmp_path)
    entry = told(snapshot, RING, links=linked(snapshot, *within(*RING)))["guest"]
    assert entry["code"] == "behaves_differently"
    assert entry["alike"] < 0.5 * entry["members_alike"]
    assert entry["via"]["key"] == "phone"
    assert entry["links"] == 0


def test_a_link_that_a_model_turned_down_is_told_as_that(tmp_path: Path) -> None:
    game = platform()
    game.signup("guest", 20 * DAY + 9, "phone", form_s=10)
    snapshot = game.build(tmp_path)
    kept = linked(snapshot, *within(*RING))
    grounds = grounds_of(snapshot, RING, links=kept)
    (entry,) = left_out(grounds)[0]
    assert entry["code"] == "apart_in_time"
    unweighed = linked(snapshot, *within(*RING), ("guest", "m5", 0.4))
    (entry,) = left_out(replace(grounds, unweighed=unweighed))[0]
    assert (entry["account_id"], entry["code"], entry["links"]) == ("guest", "unlikely_pair", 0)
    assert left_out_words(entry) == (
        "account guest shares device phone, but what is known of such pairs speaks against acting together"
    )


def test_a_run_with_a_pair_model_never_tells_a_linked_account_that_it_came_too_late(tmp_path: Path) -> None:
    snapshot = housemates(tmp_path)
    links = rings.links(snapshot)
    linked_with = {(int(a), int(b)) for a, b in zip(links.a, links.b, strict=True)}
    run = rings.find(snapshot, links=links)
    assert run.manifest["pair_model"] is not None
    codes = Counter[str]()
    for ring in run.table["ring"]:
        members = run.members.filter(pl.col("ring") == ring)["account"].to_list()
        for entry in run.explain(ring)["left_out"]:
            some = {tuple(sorted((entry["account"], member))) for member in members}
            if some & linked_with and entry["links"] == 0 and entry["code"] != "only_hub":
                codes[entry["code"]] += 1
    assert codes["unlikely_pair"] >= 5
    assert not {"apart_in_time", "behaves_differently"} & set(codes)


def housemates(folder: Path) -> Snapshot:
    """Troupes of 6 on one device, on which an honest account that behaves otherwise came the same hour."""
    draw = random.Random(3)
    rows: list[list[object]] = []

    def account(
        name: str, day: float, device: str, behaviour: Sequence[float], verdict: str, group: str = ""
    ) -> None:
        rows.append([name, Game.at(day * DAY), device, *(round(one, 3) for one in behaviour), verdict, group])

    def some() -> list[float]:
        return [draw.uniform(5, 90), draw.uniform(18, 80), draw.uniform(0, 40)]

    for troupe in range(40):
        day, usual = draw.uniform(1, 120), some()
        known = troupe < 24
        for at in range(6):
            alike = [one * draw.uniform(0.97, 1.03) for one in usual]
            verdict, group = ("bad", f"g{troupe}") if known else ("", "")
            account(f"t{troupe:02}-{at}", day + draw.random() * 0.1, f"farm{troupe}", alike, verdict, group)
        other = [one * draw.uniform(0.7, 1.4) for one in usual]
        account(f"h{troupe:02}", day + draw.random() * 0.1, f"farm{troupe}", other, "good")
        for at in range(2):
            account(f"f{troupe}-{at}", draw.uniform(0, 120), f"home{troupe}", some(), "good")
    for at in range(500):
        account(f"x{at:04}", draw.uniform(0, 120), f"own{at}", some(), "good" if at % 2 else "")
    text = csv_text("account,at,device,form_s,age,mails,verdict,troupe", rows)
    return build_from_text(folder, TROUPES_SPEC.replace("ROLE", "train"), {"signups.csv": text}).snapshot


def test_a_hub_is_the_reason_where_nothing_else_is_shared(tmp_path: Path) -> None:
    game = platform()
    for at, name in enumerate(RING):
        game.signup(name, 20 * DAY + at, "kiosk")
    game.signup("passer-by", 20 * DAY + 30, "kiosk")
    hub = marked_as_hub(game.build(tmp_path / "plain"), tmp_path / "hub", "device", "kiosk")
    entry = told(hub, RING, links=linked(hub, *within(*RING)))["passer-by"]
    assert (entry["code"], entry["users"], entry["members"]) == ("only_hub", 7, 6)
    assert left_out_words(entry) == "account passer-by shares device kiosk, a hub that 7 accounts touch"


def test_each_ring_on_a_hub_is_told_who_came_to_it_nearest(tmp_path: Path) -> None:
    game = platform()
    other = [f"n{at}" for at in range(4)]
    visits = [("early", 10.0), *((name, 20.0) for name in RING), ("between", 25.0)]
    visits += [*((name, 30.0) for name in other), ("late", 40.0)]
    for at, (name, day) in enumerate(visits):
        game.signup(name, day * DAY + at, "kiosk")
    for name in (*other, "between"):
        game.signup(name, 41 * DAY, "own thing")
    hub = marked_as_hub(game.build(tmp_path / "plain"), tmp_path / "hub", "device", "kiosk")
    hub = marked_as_hub(hub, tmp_path / "hubs", "device", "own thing")
    grounds = grounds_of(hub, RING, other, links=linked(hub, *within(*RING), *within(*other)))
    first, second = ([entry["account_id"] for entry in entries] for entries in left_out(grounds))
    assert first == ["between", "n0"]
    assert second[:2] == ["late", "between"]
    # It shares two things with the second ring: no word that it shares one only.
    assert all("only" not in left_out_words(entry) for entry in left_out(grounds)[1])


def test_at_most_ten_the_strongest_first_and_no_member(timed_snapshot: Snapshot) -> None:
    run = rings.find(timed_snapshot)
    members = {
        ring: set(run.members.filter(pl.col("ring") == ring)["account_id"]) for ring in run.table["ring"]
    }
    counted = 0
    for ring in run.table["ring"]:
        entries = run.explain(ring)["left_out"]
        assert len(entries) <= MOST
        assert not {entry["account_id"] for entry in entries} & members[ring]
        strengths = [entry["strength"] for entry in entries]
        assert strengths == sorted(strengths, reverse=True)
        for entry in entries:
            if entry["code"] == "other_ring":
                assert entry["account_id"] in members[entry["ring"]]
            else:
                assert not any(entry["account_id"] in some for some in members.values()) or (
                    entry["code"] == "only_hub"
                )
        counted += len(entries)
    assert counted > 20
