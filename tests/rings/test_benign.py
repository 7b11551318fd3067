"""Groups that people confirmed to be benign: silent until they change, whatever run finds them again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import rings
from rings.benign import Confirmed, enough, kinds_of, matched, standing_of
from tests.rings.checking import check_ring
from tests.rings.drawing import Game

if TYPE_CHECKING:
    from pathlib import Path

    from graph_etl import Snapshot
    from rings import RingsRun

EIGHT = frozenset("abcdefgh")
GROUP = Confirmed("r1", EIGHT, frozenset("a"), frozenset({"identifiers:ip"}), 1_767_225_600_000)


def shared(kind: str, accounts: int, **more: Any) -> dict[str, Any]:
    return {"type": "identifiers", "kind": kind, "accounts": accounts, **more}


@pytest.mark.parametrize(
    ("members", "status"),
    [
        pytest.param("abcdefgh", "benign_confirmed", id="as-it-was"),
        pytest.param("abcdefghx", "benign_confirmed", id="one-came"),
        pytest.param("abcdefghxy", "benign_changed", id="two-of-eight-came"),
        pytest.param("abcd", "benign_confirmed", id="half-left"),
        pytest.param("abcdxy", "benign_changed", id="some-left-and-two-came"),
    ],
)
def test_enough_new_accounts_are_a_change(members: str, status: str) -> None:
    assert standing_of(GROUP, members, "a", [shared("ip", 8)]).status == status


def test_of_a_large_group_a_fifth_has_to_be_new() -> None:
    forty = Confirmed("r1", frozenset(f"m{at}" for at in range(40)), frozenset(), frozenset(), 0)
    assert enough(40) == 8
    for came, status in ((7, "benign_confirmed"), (8, "benign_changed")):
        members = [*forty.members, *(f"new{at}" for at in range(came))]
        assert standing_of(forty, members, (), []).status == status


@pytest.mark.parametrize(
    ("pieces", "new"),
    [
        pytest.param([shared("ip", 8)], (), id="the-same-kind"),
        pytest.param([shared("ip", 8), shared("card", 1)], (), id="of-one-only"),
        pytest.param([shared("card", 2)], ("identifiers:card",), id="of-two"),
        pytest.param([shared("subnet", 8, derived=True)], (), id="derived-repeats"),
        pytest.param([{"type": "synchrony", "accounts": 3}], (), id="few-behave-alike"),
        pytest.param([{"type": "synchrony", "accounts": 4}], ("synchrony",), id="half-behave-alike"),
        pytest.param(
            [{"type": "interactions", "relation": "gift", "accounts": 5}],
            ("interactions:gift",),
            id="dealings",
        ),
        pytest.param([{"type": "known_bad", "accounts": 1}], (), id="counted-by-account"),
    ],
)
def test_evidence_of_a_new_kind_is_a_change(pieces: list[dict[str, Any]], new: tuple[str, ...]) -> None:
    found = standing_of(GROUP, EIGHT, "a", pieces)
    assert found.new_evidence == new
    assert found.status == ("benign_changed" if new else "benign_confirmed")


def test_a_member_that_is_confirmed_bad_is_a_change_and_one_that_was_is_none() -> None:
    assert standing_of(GROUP, EIGHT, "a", []).status == "benign_confirmed"
    assert standing_of(GROUP, EIGHT, "", []).status == "benign_confirmed"
    assert standing_of(GROUP, EIGHT, "ab", []).new_bad == 1
    assert standing_of(GROUP, EIGHT, "ab", []).status == "benign_changed"


def test_a_group_is_found_by_most_of_the_smaller_or_by_its_id() -> None:
    assert matched([GROUP], {"r7": "abcdxyzuvw"}) == {"r7": GROUP}  # 4 of 8
    assert matched([GROUP], {"r7": "abcxyzuvw"}) == {}  # 3 of 8
    assert matched([GROUP], {"r1": "abcxyzuvw"}) == {"r1": GROUP}
    assert matched([GROUP], {"r1": "axyzuvw"}) == {}  # the id, and one account
    both = {"r7": "abcd", "r8": "efgh"}
    assert matched([GROUP], both) == {"r7": GROUP, "r8": GROUP}


def test_of_two_confirmations_the_later_counts() -> None:
    later = replace(GROUP, confirmed_ms=GROUP.confirmed_ms + 1, number=2)
    assert matched([later, GROUP], {"r1": EIGHT}) == {"r1": later}


def household(folder: Path, extra: int = 0, gifts: int = 0) -> Snapshot:
    """Strangers and a household of six on one device; more may join it, or deal with each other."""
    game = Game()
    game.strangers(120, 60.0 * 24 * 60)
    for at in range(6 + extra):
        game.signup(f"h{at}", 3000.0 + 2000 * at, "sofa", form_s=20 + 9 * at)
    for at in range(gifts):
        game.gift(f"h{at}", f"h{at + 1}", 70_000.0 + at)
    return game.build(folder)


def ring_of(run: RingsRun, account_id: str) -> dict[str, Any]:
    ring = run.members.filter(pl.col("account_id") == account_id)["ring"][0]
    return run.table.row(by_predicate=pl.col("ring") == ring, named=True)


def confirmed(run: RingsRun, ring: str) -> Confirmed:
    names = run.members.filter(pl.col("ring") == ring)["account_id"]
    kinds = frozenset(kinds_of(run.evidence(ring)))
    return Confirmed(ring, frozenset(names), frozenset(), kinds, 1_767_225_600_000, number=1)


def test_a_confirmed_household_ranks_last_until_it_changes(tmp_path: Path) -> None:
    before = rings.find(household(tmp_path / "before"))
    ring = str(ring_of(before, "h0")["ring"])
    assert ring_of(before, "h0")["size"] == 6
    assert set(before.table["status"]) == {"open"}
    group = confirmed(before, ring)

    again = rings.find(household(tmp_path / "again", extra=1), previous=before, benign=[group])
    row = ring_of(again, "h0")
    assert (row["ring"], row["status"], row["size"]) == (ring, "benign_confirmed", 7)
    assert row["rank"] == again.table.height
    assert again.manifest["counts"]["benign_confirmed"] == 1
    assert "called benign (analyst, 2026-01-01) as a group of 6, since then 1 account came" in row["words"]
    assert check_ring(again.explain(ring)) > 3

    for name, snapshot, words in (
        ("grown", household(tmp_path / "grown", extra=2), "changed since: 2 accounts came"),
        ("deals", household(tmp_path / "deals", gifts=4), "dealings (gift) are new"),
    ):
        run = rings.find(snapshot, previous=before, benign=[group])
        row = ring_of(run, "h0")
        assert (row["ring"], row["status"]) == (ring, "benign_changed"), name
        assert words in row["words"]
        assert run.explain(ring)["evidence"][-1]["type"] == "confirmed"
        check_ring(run.explain(ring))
        plain = rings.find(snapshot, previous=before)
        assert run.table.drop("words", "status").equals(plain.table.drop("words", "status"))


def test_what_people_confirmed_lasts_without_the_run_before(tmp_path: Path) -> None:
    before = rings.find(household(tmp_path / "before"))
    group = replace(confirmed(before, str(ring_of(before, "h0")["ring"])), ring="r-of-long-ago")
    run = rings.find(household(tmp_path / "later", extra=1), benign=[group])
    assert ring_of(run, "h0")["status"] == "benign_confirmed"
    assert run.table["rank"].to_list() == list(range(1, run.table.height + 1))
    explained = [run.explain(ring)["ring"] for ring in run.table["ring"]]
    assert explained == run.table["ring"].to_list()
    assert run.members["ring"].unique(maintain_order=True).to_list() == explained
