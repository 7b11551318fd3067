"""The feature kernel on graphs small enough to count by hand."""

import numpy as np
import pytest

from features import Queries, compute, profiles, registry_of
from tests.building import Built, build_from_text, csv_text

SPEC = """
ringwatch: 1
name: by_hand
title: Four accounts, two devices, one payment.
sources:
  signups: {path: signups.csv}
  gifts: {path: gifts.csv}
kinds:
  device: {identifier: true, public: true}
accounts:
  - source: signups
    id: account
    time: at
    identifiers: {device: device}
    attributes: {age: number}
events:
  - source: gifts
    type: gift
    from: {account: sender}
    to: {account: receiver}
    time: at
    amount: coins
"""
SIGNUPS = [
    ("a", "2025-01-01T00:00:00Z", "d1", 20),
    ("b", "2025-01-01T00:30:00Z", "d1", 30),
    ("c", "2025-01-03T00:00:00Z", "d1", None),
    ("z", "2025-01-03T06:00:00Z", "d2", 40),
]
GIFTS = [("a", "b", "2025-01-02T00:00:00Z", 5), ("a", "b", "2025-01-04T00:00:00Z", 7)]


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Built:
    files = {
        "signups.csv": csv_text("account,at,device,age", SIGNUPS),
        "gifts.csv": csv_text("sender,receiver,at,coins", GIFTS),
    }
    return build_from_text(tmp_path_factory.mktemp("by_hand"), SPEC, files)


def feature(built: Built, name: str, account: str, moment: str) -> float:
    snapshot = built.snapshot
    index = snapshot.account_index(account)
    assert index is not None
    values = compute(snapshot, Queries.for_accounts(snapshot, np.array([index]), moment))
    return float(values[0, registry_of(snapshot).names.index(name)])


@pytest.mark.parametrize(
    ("name", "account", "moment", "expected"),
    [
        pytest.param("attribute.age", "b", "signup", 30.0, id="own-attribute"),
        pytest.param("attribute.age", "c", "signup", np.nan, id="missing-attribute"),
        pytest.param("account.age", "a", "signup", 0.0, id="new-at-signup"),
        pytest.param("account.age", "a", "1d", np.log1p(24), id="a-day-old"),
        pytest.param("used:device.users_max", "a", "signup", np.log2(1 + 1), id="first-on-the-device"),
        pytest.param("used:device.users_max", "b", "signup", np.log2(1 + 2), id="second-on-the-device"),
        pytest.param("used:device.users_max", "a", "retrospective", np.log2(1 + 3), id="three-in-the-end"),
        pytest.param("used:device.newcomers_1h", "b", "signup", np.log1p(2), id="both-within-the-hour"),
        pytest.param("used:device.newcomers_1h", "c", "signup", np.log1p(1), id="itself-alone"),
        pytest.param("used:device.newcomers_7d", "c", "signup", np.log1p(3), id="three-within-the-week"),
        pytest.param("gift>.events", "a", "signup", 0.0, id="no-gift-yet"),
        pytest.param("gift>.events", "a", "1d", np.log1p(1), id="gift-at-the-very-end-of-the-day"),
        pytest.param("gift>.events", "a", "retrospective", np.log1p(2), id="both-gifts"),
        pytest.param("gift>.counterparts", "a", "retrospective", np.log1p(1), id="one-receiver"),
        pytest.param("gift>.amount", "a", "retrospective", np.log1p(12), id="coins-sent"),
        pytest.param("gift<.amount", "b", "retrospective", np.log1p(12), id="coins-received"),
        pytest.param("gift>.amount", "b", "retrospective", 0.0, id="direction-matters"),
        pytest.param("burst.before_1h", "b", "signup", np.log1p(1), id="one-before"),
        pytest.param("burst.after_1h", "a", "signup", 0.0, id="nobody-after-yet"),
        pytest.param("burst.after_1h", "a", "retrospective", np.log1p(1), id="one-after"),
        pytest.param("burst.before_1d", "z", "retrospective", np.log1p(1), id="six-hours-before"),
        pytest.param("direct.accounts", "b", "retrospective", np.log1p(1), id="dealt-with-one"),
        pytest.param("shared.accounts", "c", "signup", np.log1p(2), id="shares-with-two"),
        pytest.param("shared.within_1d", "b", "signup", np.log1p(1), id="one-of-them-close"),
        pytest.param("shared.accounts", "z", "retrospective", 0.0, id="own-device"),
    ],
)
def test_feature_by_hand(by_hand: Built, name: str, account: str, moment: str, expected: float) -> None:
    assert feature(by_hand, name, account, moment) == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_registry_names_every_column_once(by_hand: Built) -> None:
    snapshot = by_hand.snapshot
    names = registry_of(snapshot).names
    assert compute(snapshot, Queries.for_accounts(snapshot)).shape == (4, len(names))
    assert len(set(names)) == len(names)
    assert all(spec.description for spec in registry_of(snapshot).specs)


def test_profiles_say_what_is_known_at_a_horizon(by_hand: Built) -> None:
    snapshot = by_hand.snapshot
    b = np.array([snapshot.account_index("b")])
    before = profiles(snapshot, b, horizon=0)[0]
    after = profiles(snapshot, b)[0]
    assert before[1] == 0.0  # no device yet
    assert after[1] == pytest.approx(np.log1p(1))


def test_unknown_account_is_answered_from_its_identifiers(by_hand: Built) -> None:
    snapshot = by_hand.snapshot
    names = registry_of(snapshot).names
    event = Queries.for_event(
        snapshot, "new", time_ms=int(snapshot.event_known_ms[-1]) + 1000, identifiers=[("device", "d1")]
    )
    values = dict(zip(names, compute(snapshot, event)[0], strict=True))
    assert values["used:device.users_max"] == pytest.approx(np.log2(1 + 4))
    assert values["shared.accounts"] == pytest.approx(np.log1p(3))
    never_seen = Queries.for_event(
        snapshot, "new", time_ms=int(snapshot.event_known_ms[-1]) + 1000, identifiers=[("device", "d9")]
    )
    values = dict(zip(names, compute(snapshot, never_seen)[0], strict=True))
    assert values["used:device.users_max"] == pytest.approx(np.log2(1 + 1))
    assert values["shared.accounts"] == 0.0
