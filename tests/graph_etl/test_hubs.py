"""Hubs: crowds are, farms are not, moderate sharing stays, and the future changes nothing."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graph_etl import NO_HUB, NO_TIME, KindInfo
from graph_etl.hubs import Contacts, Hubs, cuts, find_hubs, spread_of_half
from tests.building import CAMPUS_IP, EXCHANGE_WALLET, Built

KINDS = (KindInfo("account", False, True), KindInfo("device", True, True))
N_ACCOUNTS = 2_000


def _platform(shared: dict[str, NDArray[np.int64]], *, timed: bool = True) -> tuple[dict[str, int], Hubs]:
    """2,000 accounts, one row each, on a device of their own (node 2,000 + account), or on a shared one.

    Args:
        shared: Name of a shared device and the accounts on it, numbered in the order in which they came.
        timed: Whether rows have times.

    Returns:
        Accounts of each hub by the device's name, and the hubs.
    """
    device = N_ACCOUNTS + np.arange(N_ACCOUNTS)
    names = [str(node) for node in range(2 * N_ACCOUNTS + len(shared))]
    # Ordinary sharing: each tenth device is a household's.
    device[1::10] = device[0::10]
    for at, (name, accounts) in enumerate(shared.items()):
        device[accounts] = 2 * N_ACCOUNTS + at
        names[2 * N_ACCOUNTS + at] = name
    accounts = np.arange(N_ACCOUNTS)
    found = find_hubs(
        [Contacts.of(1, device.astype(np.int32), accounts.astype(np.int32), accounts)],
        kinds=KINDS,
        node_keys=pl.Series(names),
        account_pos=accounts,
        known_ms=accounts * 1000 if timed else np.full(N_ACCOUNTS, NO_TIME),
    )
    return {key: count for key, count in found.table.select("key", "accounts").rows()}, found


def _scattered(n: int, seed: int = 1) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(seed).choice(N_ACCOUNTS, n, replace=False))


def test_a_crowd_over_the_whole_time_is_a_hub() -> None:
    hubs, found = _platform({"test-device": _scattered(120)})
    assert hubs == {"test-device": 120}
    (reason,) = found.table["reason"]
    assert "accounts touch it" in reason
    assert "came at all times" in reason


@pytest.mark.parametrize("n_accounts", [14, 40, 90, 150])
def test_a_farm_in_a_burst_is_no_hub(n_accounts: int) -> None:
    # Every second sign-up of some days is the farm's.
    hubs, found = _platform({"farm": 700 + 2 * np.arange(n_accounts)})
    assert hubs == {}
    assert (found.since == NO_HUB).all()


def test_a_farm_beside_a_crowd_stays_and_the_crowd_goes() -> None:
    crowd = np.setdiff1d(_scattered(200), np.arange(700, 760))
    hubs, _ = _platform({"farm": np.arange(700, 760), "campus": crowd})
    assert set(hubs) == {"campus"}


@pytest.mark.parametrize("n_accounts", [3, 12, 24, 40])
def test_moderate_sharing_is_no_hub_with_and_without_times(n_accounts: int) -> None:
    # sqrt(2,000) is 44.7: below it two devices this common share no account by chance.
    for timed in (True, False):
        hubs, _ = _platform({"family": _scattered(n_accounts)}, timed=timed)
        assert hubs == {}


def test_without_times_the_tail_alone_decides() -> None:
    hubs, found = _platform({"exchange": np.arange(700, 800), "club": np.arange(40)}, timed=False)
    assert hubs == {"exchange": 100}
    assert found.since.min() == -1
    assert found.table["since_ms"].to_list() == [None]


def test_what_a_tenth_of_those_who_touch_its_kind_touch_is_a_hub() -> None:
    # Five products, 400 of 2,000 accounts ever buy: none lies far out among five, yet each links nobody.
    buyers = _scattered(400)
    product = N_ACCOUNTS + np.random.default_rng(2).choice(5, 400, p=[0.4, 0.3, 0.2, 0.07, 0.03])
    found = find_hubs(
        [Contacts.of(1, product.astype(np.int32), buyers.astype(np.int32), buyers)],
        kinds=KINDS,
        node_keys=pl.Series([str(node) for node in range(N_ACCOUNTS + 5)]),
        account_pos=np.arange(N_ACCOUNTS),
        known_ms=np.arange(N_ACCOUNTS) * 1000,
    )
    assert found.table["key"].to_list() == ["2000", "2001", "2002"]


def test_a_hub_is_one_from_where_it_became_one() -> None:
    _, found = _platform({"test-device": _scattered(200)})
    since = int(found.since[2 * N_ACCOUNTS])
    assert 255 <= since < N_ACCOUNTS - 1
    assert since + 1 in cuts(0, N_ACCOUNTS)
    assert found.table["since_ms"].to_list() == [since * 1000]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(300, 600),
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 200)), min_size=1, max_size=4),
)
def test_later_rows_change_no_hub_of_the_past(
    seed: int, n_past: int, future_runs: list[tuple[int, int]]
) -> None:
    """Three devices with about a tenth of the past each, where hubs begin; then a few runs of them."""
    draw = np.random.default_rng(seed)
    shares = draw.uniform(0.07, 0.13, 3)
    past = draw.choice(4, n_past, p=[1 - shares.sum(), *shares])
    future = np.concatenate([np.full(length, device) for device, length in future_runs])

    def since(devices: NDArray[np.int64]) -> NDArray[np.int64]:
        n = len(devices)
        accounts = np.arange(n)
        node = np.where(devices == 0, 100 + accounts, devices).astype(np.int32)
        return find_hubs(
            [Contacts.of(1, node, accounts.astype(np.int32), accounts)],
            kinds=KINDS,
            node_keys=pl.Series([str(at) for at in range(2000)]),
            account_pos=accounts,
            known_ms=accounts,
        ).since

    before, after = since(past), since(np.concatenate([past, future]))
    seen = np.where(after < n_past, after, NO_HUB)
    assert np.array_equal(before, seen)


def test_cuts_only_grow() -> None:
    assert cuts(0, 255) == []
    assert cuts(0, 300) == [256, 281]
    assert cuts(50, 400) == [50, 306, 331, 359, 390]
    assert cuts(50, 400) == cuts(50, 1000)[:5]


def test_spread_of_half() -> None:
    assert spread_of_half(np.array([0, 25, 50, 75]), 100) == 0.5
    assert spread_of_half(np.array([10, 11, 12, 99]), 100) == 0.02


def test_hubs_of_the_small_platforms(timed_build: Built, untimed_build: Built) -> None:
    hubs = timed_build.snapshot.hubs
    assert hubs.select("kind", "accounts").rows() == [("ip", 60), ("subnet", 60)]
    assert CAMPUS_IP not in hubs["key"].to_list()  # private: only its key is there
    assert untimed_build.snapshot.hubs.select("kind", "key", "accounts").rows() == [
        ("wallet", EXCHANGE_WALLET, 65)
    ]
