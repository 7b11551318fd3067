"""What an account was when it came does not change with what is told of it later."""

from pathlib import Path

import numpy as np
import pytest

from graph_etl import NO_TIME, Snapshot
from tests.building import build_from_text

SPEC = """
ringwatch: 1
name: profiles
sources:
  profiles: {path: profiles.csv}
  signups: {path: signups.csv}
  gifts: {path: gifts.csv}
accounts:
  - {source: profiles, id: id, type: profile, attributes: {age: number, city: category}}
  - {source: signups, id: id, time: at, attributes: {city: category}}
events:
  - {source: gifts, type: gift, from: {account: giver}, to: {account: taker}, time: at}
"""
FILES = {
    "profiles.csv": "id,age,city\nann,30,\nbob,,Rome\n",
    "signups.csv": "id,at,city\nann,100,Bern\nbob,90,Oslo\nann,200,Lima\ncyd,50,\ncyd,60,Kyiv\n",
    "gifts.csv": "giver,taker,at\nann,bob,95\ndan,cyd,40\n",
}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return build_from_text(tmp_path_factory.mktemp("profiles"), SPEC, FILES).snapshot


def _positions(snapshot: Snapshot) -> dict[str, int]:
    return dict(zip(snapshot.account_ids.to_list(), snapshot.first_pos.tolist(), strict=True))


def test_the_first_timed_row_that_lists_an_account_brings_it_in(snapshot: Snapshot) -> None:
    # Positions: profiles of ann 0 and bob 1 without times, 40 dan's gift 2, 50 cyd 3, 60 cyd 4, 90 bob 5,
    # 95 ann's gift 6, 100 ann 7, 200 ann 8.
    assert _positions(snapshot) == {"ann": 7, "bob": 5, "cyd": 3, "dan": 2}
    assert snapshot.first_seen_ms.tolist() == [100_000, 90_000, 50_000, 40_000]
    assert snapshot.last_seen_ms.tolist() == [200_000, 95_000, 60_000, 40_000]


def test_attributes_are_what_was_known_then(snapshot: Snapshot) -> None:
    cities = snapshot.attributes[1].categories
    told = [None if np.isnan(code) else cities[int(code)] for code in snapshot.attribute_values[:, 1]]
    # Bob's profile came before his sign-up; ann's second row and cyd's are too late.
    assert told == ["Bern", "Rome", None, None]
    assert np.nan_to_num(snapshot.attribute_values[:, 0], nan=-1).tolist() == [30, -1, -1, -1]


def test_without_any_time_the_first_row_brings_an_account_in(tmp_path: Path) -> None:
    spec = """
    ringwatch: 1
    name: bare
    sources: {met: {path: met.csv}, people: {path: people.csv}}
    accounts: [{source: people, id: id}]
    events: [{source: met, type: met, from: {account: a}, to: {account: b}}]
    """
    files = {"met.csv": "a,b\nann,bob\nzoe,ann\n", "people.csv": "id\nbob\n"}
    snapshot = build_from_text(tmp_path, spec, files).snapshot
    # Sources stand in the order of the spec: the meetings are 0 and 1, the list of people is 2.
    assert _positions(snapshot) == {"ann": 0, "bob": 2, "zoe": 1}
    assert set(snapshot.first_seen_ms.tolist()) == {NO_TIME}
