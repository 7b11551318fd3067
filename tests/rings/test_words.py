"""Words for a ring: golden sentences. `test_sentences.py` holds all others against their evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graph_etl import Snapshot
from rings.evidence import Evidence, Grounds, evidence
from rings.links import Links
from rings.nearest_bad import nearest_bad
from rings.words import headline, sentences
from tests.rings.drawing import Game, bridge, indices

DAY = 60.0 * 24


def told(snapshot: Snapshot, accounts: list[str], q_value: float = 1e-6) -> tuple[str, list[Evidence]]:
    """The words and the evidence of one ring that the test names itself."""
    member = np.full(snapshot.n_accounts, -1, np.int32)
    chosen = np.array(sorted(indices(snapshot, accounts)))
    member[chosen] = 0
    known_bad = snapshot.labels() == 1
    none = np.zeros(0, np.int32)
    grounds = Grounds(
        snapshot=snapshot,
        horizon=snapshot.end_horizon,
        member=member,
        links=Links(none, none, none.astype(np.float32), none.astype(np.uint8), none),
        known_bad=known_bad,
        density=np.array([0.5]),
        p_value=np.array([q_value]),
        q_value=np.array([q_value]),
        nearest=nearest_bad(snapshot, chosen, np.array([0, len(chosen)]), known_bad, snapshot.end_horizon),
    )
    pieces = evidence(grounds)[0]
    return headline(sentences(pieces), pieces), pieces


def farm() -> Game:
    game = Game()
    game.strangers(300, 60 * DAY)
    for at in range(14):
        game.signup(f"m{at:02}", 20 * DAY + at * 41 / 13, f"phone{at % 2}")
    return game


FARM = [f"m{at:02}" for at in range(14)]


def test_a_device_farm(tmp_path: Path) -> None:
    words, _ = told(farm().build(tmp_path), FARM)
    assert words == (
        "14 accounts on 2 devices that nobody else used, signed up within 41 minutes; device phone0 ties "
        "most: 7 of 314 accounts touch it, all of them here where coincidence would bring 0.3; no account"
        " at all is confirmed bad; best honest explanation: an office or campus of 14 on shared devices, "
        "against it: they behave alike and came close together (1 to 160,000)"
    )


def test_a_device_farm_near_a_banned_account(tmp_path: Path) -> None:
    game = farm()
    game.signup("banned", 2 * DAY, "old-phone")
    game.verdict("banned", "bad", 3 * DAY)
    game.signup("m14", 20 * DAY + 10, "old-phone")
    words, _ = told(game.build(tmp_path), [*FARM, "m14"])
    assert words == (
        "15 accounts; 14 on 2 devices that nobody else used; device phone0 ties most: 7 of 316 accounts "
        "touch it, all of them here where coincidence would bring 0.3; all signed up within 41 minutes; "
        "the nearest confirmed bad account is one device away; best honest explanation: an office or "
        "campus of 15 on shared devices, against it: they behave alike and came close together (1 to "
        "160,000)"
    )


def test_a_device_that_others_used_too(tmp_path: Path) -> None:
    game = farm()
    game.signup("buyer", 50 * DAY, "phone0")
    words, _ = told(game.build(tmp_path), FARM)
    assert words.startswith(
        "14 accounts on 2 devices that 1 other account used too, all signed up within 41 minutes; "
    )


def test_members_that_are_known(tmp_path: Path) -> None:
    game = farm()
    for name in FARM[:3]:
        game.verdict(name, "bad", 30 * DAY)
    words, _ = told(game.build(tmp_path), FARM)
    assert "; three of them are confirmed bad; " in words
    assert "and count 3 confirmed bad (1 to over 1,000,000)" in words


def test_gifts_to_one_account(tmp_path: Path) -> None:
    game = Game()
    game.strangers(300, 60 * DAY)
    for at in range(8):
        game.signup(f"m{at}", 7 * DAY * at)
        game.gift(f"m{at}", "fence", 7 * DAY * at + 100)
    game.signup("fence", 60)
    words, _ = told(game.build(tmp_path), [*(f"m{at}" for at in range(8)), "fence"])
    assert words == (
        "9 accounts; 8 sent gift to account fence, a member; account fence ties most: 8 of 309 accounts "
        "touch it, all of them here where coincidence would bring 0.4; they appeared over 49 days; no "
        "account at all is confirmed bad; best honest explanation: 9 people who deal with the same "
        "account, for it: they appeared over 49 days, against it: they behave alike (1 to 3)"
    )


def test_wallets_of_a_bridge(tmp_path: Path) -> None:
    first_use = {f"x{at:03}": 60.0 * DAY * at / 400 for at in range(400)}
    ring = {f"m{at:02}": 30 * DAY + at * 8 for at in range(23)}  # 22 * 8 = 176 minutes
    transfers = [("173251", f"m{at:02}", "tokens") for at in range(19)]
    transfers += [("173251", f"x{at:03}", "tokens") for at in range(5)]
    transfers += [(f"x{at:03}", f"w{at}", "tokens") for at in range(400)]
    words, _ = told(bridge(tmp_path, first_use | ring, transfers), list(ring))
    assert words == (
        "23 accounts; 19 received tokens from counterparty 173251, which touches 24 accounts in all; "
        "counterparty 173251 ties most: 24 of 423 accounts touch it, 19 of them here where coincidence "
        "would bring 1.1; all first seen within 3 hours; no account at all is confirmed bad; best honest "
        "explanation: 23 customers of the same counterparty, for it: they behave differently, against it:"
        " they came close together (1 to 9)"
    )


def test_a_ring_that_chance_could_have_made_says_so(tmp_path: Path) -> None:
    words, _ = told(farm().build(tmp_path), FARM, q_value=0.4)
    assert "; it stands out no more than groups that chance makes; " in words


def test_a_hub_is_never_named(tmp_path: Path) -> None:
    from tests.rings.drawing import marked_as_hub

    plain = farm().build(tmp_path / "plain")
    hub = marked_as_hub(plain, tmp_path / "hub", "device", "phone0")
    words, pieces = told(hub, FARM)
    assert words.startswith("14 accounts; 7 on one device that nobody else used")
    assert "phone0" not in str(pieces)
