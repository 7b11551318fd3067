"""Invariants 1 and 2: nothing later changes an earlier answer, and one path computes them all."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features import Queries, compute, contact, registry_of
from graph_etl import Hasher, Snapshot
from graph_etl.identifiers import keys_of
from tests.building import PLATFORM_SPEC, Built, build_from_text, csv_text, platform_files

LATER = datetime(2025, 6, 1, tzinfo=UTC)  # the drawn platform ends two months before


def rows_of(text: str) -> tuple[str, list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(text))
    return ",".join(header), rows


def answers(snapshot: Snapshot, accounts: list[str], moment: str) -> NDArray[np.float32]:
    found = np.array([snapshot.account_index(account) for account in accounts])
    return compute(snapshot, Queries.for_accounts(snapshot, found, moment))


later_events = st.lists(
    st.tuples(
        st.sampled_from(["h000", "h061", "farma00", "new1", "new2"]),
        st.sampled_from(["device-h000", "device-h061", "device-brand-new", "device-farma-0"]),
        st.sampled_from(["198.51.100.7", "10.0.61.9", "192.0.2.77"]),
        st.integers(0, 90 * 24 * 3600),
    ),
    min_size=1,
    max_size=30,
)


# No shrinking: each example builds a platform, and the columns that differ are named anyway.
@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(later=later_events, country=st.sampled_from(["AA", "FR", "ZZ"]))
def test_later_rows_never_change_an_earlier_answer(
    later: list[tuple[str, str, str, int]],
    country: str,
    timed_build: Built,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    files = platform_files()
    header, logins = rows_of(files["logins.csv"])
    signup_header, signups = rows_of(files["signups.csv"])
    known = {row[1] for row in signups}
    for number, (account, device, ip, after_s) in enumerate(later):
        at = (LATER + timedelta(seconds=after_s)).isoformat()
        if account not in known:
            known.add(account)
            signups.append(
                [f"x{number}", account, at, device, ip, f"{account}@example.com", country, "9", "no"]
            )
        logins.append([f"y{number}", account, at, device, ip])
    grown = build_from_text(
        tmp_path_factory.mktemp("grown"),
        PLATFORM_SPEC,
        files | {"logins.csv": csv_text(header, logins), "signups.csv": csv_text(signup_header, signups)},
    ).snapshot
    before = timed_build.snapshot
    # An account younger than a day has no answer "after a day" yet.
    grown_up = np.asarray(before.first_seen_ms) + 24 * 3_600_000 <= int(before.event_known_ms[-1])
    accounts = [account for account, old in zip(before.account_ids, grown_up, strict=True) if old]
    assert len(accounts) > 280
    assert registry_of(before).names == registry_of(grown).names
    assert grown.n_events > before.n_events  # not vacuous
    for moment in ("signup", "1d"):
        was, now = answers(before, accounts, moment), answers(grown, accounts, moment)
        changed = ~((was == now) | (np.isnan(was) & np.isnan(now))).all(axis=0)
        names = registry_of(before).names
        assert [name for name, differs in zip(names, changed, strict=True) if differs] == []


@pytest.fixture(scope="module")
def orderly_files() -> dict[str, str]:
    """The small platform without gifts from or to accounts that sign up only later."""
    files = platform_files()
    _, signups = rows_of(files["signups.csv"])
    came = {row[1]: row[2] for row in signups}
    header, gifts = rows_of(files["gifts.csv"])
    kept = [row for row in gifts if max(came[row[1]], came[row[2]]) < row[3]]
    assert len(kept) > 50
    return files | {"gifts.csv": csv_text(header, kept)}


@pytest.mark.parametrize("place", [150, 230, 290])
def test_an_event_is_answered_as_if_it_were_already_in(
    place: int, tmp_path: Path, orderly_files: dict[str, str]
) -> None:
    """What the service asks about a sign-up equals, bit by bit, what training saw of it."""
    built = build_from_text(tmp_path / "full", PLATFORM_SPEC, orderly_files)
    _, signups = rows_of(orderly_files["signups.csv"])
    row = sorted(signups, key=lambda one: one[2])[place]
    _, account, at, device, ip, email, country, form_s, newsletter = row
    cut = {
        name: csv_text(head, [one for one in body if one[column] < at])
        for name, column in (("signups.csv", 2), ("logins.csv", 2), ("gifts.csv", 3), ("verdicts.csv", 2))
        for head, body in (rows_of(orderly_files[name]),)
    }
    before = build_from_text(
        tmp_path / "before", PLATFORM_SPEC, orderly_files | cut, max_quarantine=1.0
    ).snapshot
    assert before.account_index(account) is None
    hasher = Hasher.from_env(required=True)
    event = Queries.for_event(
        before,
        account,
        time_ms=int(datetime.fromisoformat(at).timestamp() * 1000),
        identifiers=[
            key
            for kind, raw in (("device", device), ("ip", ip), ("email", email))
            for key in keys_of(built.spec, kind, raw, hasher)
        ],
        attributes={"country": country, "form_s": form_s, "newsletter": newsletter},
    )
    names = registry_of(built.snapshot).names
    assert registry_of(before).names == names
    asked = compute(before, event)[0]
    trained = answers(built.snapshot, [account], "signup")[0]
    pairs = zip(names, asked, trained, strict=True)
    assert [(name, one, other) for name, one, other in pairs if not _same(one, other)] == []
    assert np.isfinite(asked).sum() > 50  # not vacuous


def _same(one: np.float32, other: np.float32) -> bool:
    return bool(one == other) or bool(np.isnan(one) and np.isnan(other))


def test_one_answer_equals_that_of_a_batch(timed_snapshot: Snapshot) -> None:
    batch = Queries.for_accounts(timed_snapshot)
    together = compute(timed_snapshot, batch)
    for account in (0, 17, 250):
        alone = compute(timed_snapshot, batch.take(np.array([account])))
        np.testing.assert_array_equal(alone[0], together[account])


def test_a_verdict_is_contact_from_when_it_was_known(timed_snapshot: Snapshot) -> None:
    """Own verdicts never count; those of others only at later horizons."""
    known_bad = timed_snapshot.verdicts.filter(timed_snapshot.verdicts["label"] == 1)
    account = int(known_bad["account"][0])
    since = np.full(timed_snapshot.n_accounts, np.iinfo(np.int64).max)
    until = since.copy()
    own = Queries.for_accounts(timed_snapshot, np.array([account]))
    nobody = contact(timed_snapshot, own, since, until).features
    since[account] = -1
    np.testing.assert_array_equal(contact(timed_snapshot, own, since, until).features, nobody)
    everyone = Queries.for_accounts(timed_snapshot)
    near = contact(timed_snapshot, everyone, since, until)
    sharers = np.flatnonzero(near.bad_account == account)
    assert len(sharers) > 0
    end = timed_snapshot.end_horizon
    since[account] = end  # becomes known after everything
    assert (contact(timed_snapshot, everyone, since, until).bad_account != account).all()
