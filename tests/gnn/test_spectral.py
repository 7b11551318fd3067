"""Coordinates among accounts that deal with each other: worked out by hand, past only, newcomers too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gnn
from features import LiveGraph, Queries
from gnn import Scorer, reasons, spectral
from gnn.counterfactual import counterfactuals
from gnn.inputs import input_specs, inputs
from gnn.spectral import FAMILY, WIDTH, Coordinates, coordinates_of, with_coordinates
from graph_etl import Snapshot
from tests.building import Built, build_from_text, csv_text

_SPEC = """
ringwatch: 1
name: circles
title: Circles of people who write to each other; one circle is bad.
sources:
  people: {path: people.csv}
  letters: {path: letters.csv}
  verdicts: {path: verdicts.csv}
accounts:
  - {source: people, id: person, attributes: {height: number}}
events:
  - {source: letters, type: letter, from: {account: writer}, to: {account: reader}}
verdicts:
  - {source: verdicts, account: person, label: bad, bad: ["1"], good: ["0"]}
"""
_CIRCLES = 6
_MEMBERS = 40


@pytest.fixture(scope="module")
def circles(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Six circles of 40 who write to five others of theirs; two circles are bad, nothing else tells."""
    rng = np.random.default_rng(0)
    people = [f"p{number:03}" for number in range(_CIRCLES * _MEMBERS)]
    letters = [
        (people[one], people[one // _MEMBERS * _MEMBERS + int(other)])
        for one in range(len(people))
        for other in rng.choice(_MEMBERS, 5, replace=False)
        if one % _MEMBERS != other
    ]
    folder = tmp_path_factory.mktemp("circles")
    files = {
        "people.csv": csv_text("person,height", [(name, rng.integers(150, 200)) for name in people]),
        "letters.csv": csv_text("writer,reader", letters),
        "verdicts.csv": csv_text(
            "person,bad", [(name, int(at // _MEMBERS % 3 == 0)) for at, name in enumerate(people)]
        ),
    }
    return build_from_text(folder, _SPEC, files)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small platforms have coordinates too."""
    monkeypatch.setattr(spectral, "_LEAST_ACCOUNTS", 100)


def _filled(snapshot: Snapshot, queries: Queries, found: Coordinates) -> np.ndarray:
    return with_coordinates(inputs(snapshot, queries), snapshot, queries, found)[:, -WIDTH:]


@pytest.mark.usefixtures("few")
def test_coordinates_are_the_leading_singular_vectors(circles: Built) -> None:
    found = coordinates_of(circles.snapshot)
    assert found is not None
    n = circles.snapshot.n_accounts
    assert found.own.shape == (n, WIDTH)
    assert found.horizon == circles.snapshot.end_horizon
    # In units of a usual coordinate: columns of unit length, times the root of the number of accounts.
    np.testing.assert_allclose((found.own.astype(float) ** 2).sum(axis=0), n, rtol=1e-3)
    # Six circles that never meet: the six leading coordinates tell them apart and nothing within them.
    shares = found.own[:, :_CIRCLES].reshape(_CIRCLES, _MEMBERS, _CIRCLES).astype(float)
    explained = (shares.mean(axis=1) ** 2).sum() / (shares**2).mean(axis=1).sum()
    assert explained > 0.9


@pytest.mark.usefixtures("few")
def test_an_account_that_the_search_did_not_know_stands_where_it_would_have(circles: Built) -> None:
    """The formula of the module, with every neighbour read: own coordinates and those of a newcomer agree."""
    snapshot = circles.snapshot
    found = coordinates_of(snapshot)
    assert found is not None
    queries = Queries.for_accounts(snapshot, np.arange(30))
    known = _filled(snapshot, queries, found)
    as_new = _filled(snapshot, queries, replace(found, own=np.full_like(found.own, np.nan)))
    np.testing.assert_array_equal(known, found.own[:30])
    np.testing.assert_allclose(as_new[:, :_CIRCLES], known[:, :_CIRCLES], rtol=2e-2, atol=2e-2)
    one = _filled(snapshot, queries.take(np.array([7])), found.without(7))
    np.testing.assert_array_equal(one[0], as_new[7])


@pytest.mark.usefixtures("few")
def test_a_question_from_before_the_search_knows_nothing_of_it(circles: Built) -> None:
    snapshot = circles.snapshot
    found = coordinates_of(snapshot)
    assert found is not None
    queries = Queries.for_accounts(snapshot)
    assert not np.isnan(_filled(snapshot, queries, found)).any()
    queries.horizon[:] -= 1
    assert np.isnan(_filled(snapshot, queries, found)).all()


def test_few_accounts_have_no_coordinates(circles: Built) -> None:
    assert coordinates_of(circles.snapshot) is None


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("limit", ["_MOST_ACCOUNTS", "_MOST_ENDS"])
def test_nothing_is_searched_that_would_take_too_long(
    circles: Built, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    assert coordinates_of(circles.snapshot) is not None
    monkeypatch.setattr(spectral, limit, circles.snapshot.n_accounts - 1)
    assert coordinates_of(circles.snapshot) is None


def test_they_are_the_last_columns(circles: Built) -> None:
    families = [spec.family for spec in input_specs(circles.snapshot, with_contact=False)]
    assert families[-WIDTH:] == [FAMILY] * WIDTH
    assert FAMILY not in families[:-WIDTH]


@pytest.mark.usefixtures("few")
def test_they_are_inputs_where_held_out_accounts_gain(circles: Built) -> None:
    """Who is bad hangs on the circle alone, so that nothing but where an account stands tells it."""
    # Heights differ by chance from circle to circle, so means over neighbours would tell it too.
    less = ("graph_sage", "community", "around", "direct", "shared", "link")
    bundle = gnn.train(circles.snapshot, circles.workspace, without=less)
    assert bundle.manifest["heads"]["retrospective"]["spectral"]
    assert bundle.manifest["metrics"]["retrospective"]["spectral"]
    plain = gnn.train(circles.snapshot, circles.workspace, without=(*less, FAMILY))
    assert plain.coordinates is None
    assert not plain.manifest["heads"]["retrospective"]["spectral"]

    def precision(one: gnn.Bundle) -> float:
        return float(one.manifest["metrics"]["retrospective"]["average_precision"]["value"])

    assert precision(bundle) > precision(plain) + 0.1
    scored = Scorer(circles.snapshot, bundle).score(Queries.for_accounts(circles.snapshot)).score
    np.testing.assert_array_equal(scored, bundle.scores["score"].to_numpy())
    live = Scorer(LiveGraph(circles.snapshot), bundle)
    some = Queries.for_accounts(circles.snapshot, np.arange(0, _CIRCLES * _MEMBERS, 7))
    np.testing.assert_array_equal(live.score(some).score, scored[::7])
    one = some.take(np.array([3]))
    result = live.score(one)
    told = reasons(live, one, result)
    found = counterfactuals(live, one, result, reasons=told)
    assert "NEIGHBOURHOOD" in {reason.code for reason in told}
    # Without one of those that it deals with it stands elsewhere in its circle, so scores move.
    assert found.accounts
    moved = []
    for place in range(12):
        asked = some.take(np.array([place]))
        answer = live.score(asked)
        taken = counterfactuals(live, asked, answer, reasons=reasons(live, asked, answer)).accounts
        moved += [carrier.score != float(answer.score[0]) for carrier in taken]
    assert any(moved)
    (bundle.path / "coordinates.npz").unlink()
    with pytest.raises(gnn.BundleError, match=r"coordinates\.npz: missing"):
        Scorer(circles.snapshot, gnn.Bundle.open(bundle.path))


@pytest.mark.usefixtures("few")
def test_coordinates_follow_their_accounts_into_another_snapshot(circles: Built) -> None:
    found = coordinates_of(circles.snapshot)
    assert found is not None
    place = np.arange(circles.snapshot.n_accounts)[::-1].copy()
    place[0] = -1
    moved = found.renumbered(place, circles.snapshot.n_accounts + 1)
    np.testing.assert_array_equal(moved.own[place[1]], found.own[1])
    assert np.isnan(moved.own[-1]).all()
    back = Coordinates.of(moved.arrays)
    np.testing.assert_array_equal(back.told, moved.told)
    assert back.horizon == found.horizon
