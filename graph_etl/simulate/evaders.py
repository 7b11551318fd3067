"""Ban evaders: players who cheat, are banned and come back with what they could not change."""

import numpy as np

from graph_etl.simulate.config import BanEvader
from graph_etl.simulate.population import arrival_s, person
from graph_etl.simulate.world import DAY_S, Account, Ring, World


def evade(world: World, plan: BanEvader, ring: Ring, rng: np.random.Generator) -> None:
    """Let one person play, be banned, return, and perhaps be banned again.

    The first account is always banned, since nobody evades without a ban. A return keeps the device
    (mostly), or else the home and the card; e-mail is always new, the address mostly.

    Args:
        world: The platform with its honest players.
        plan: How many accounts at most, and how often the device stays.
        ring: Filled with the person's accounts.
        rng: Source of randomness.
    """
    first_s = int(arrival_s(world, 1, rng)[0] * 0.75)
    at_s, previous = first_s, -1
    n = int(min(1 + rng.geometric(0.6), plan.accounts))
    for k in range(n):
        account = person(world, rng, "cheater", at_s)
        account.ring = ring.name
        if previous < 0:
            _first_home(world, account, rng)
        else:
            _come_back(world, account, world.accounts[previous], plan, rng)
        account.gifts = float(rng.gamma(0.5, 1.6)) if rng.random() < 0.4 else 0.0
        account.logins_per_day = float(rng.uniform(0.4, 1.8))
        banned_s = at_s + int((0.4 + rng.gamma(1.6, 3.2)) * DAY_S)
        caught = k == 0 or rng.random() < 0.62
        account.leave_s = banned_s if caught else at_s + int(rng.exponential(18.0) * DAY_S)
        previous = world.add(account)
        ring.accounts.append(previous)
        if caught:
            if k == 0 and banned_s >= world.end_s - DAY_S:
                banned_s = max(at_s + 3_600, world.end_s - int(rng.uniform(1.0, 3.0) * DAY_S))
            world.ban(previous, banned_s, "cheating" if k == 0 else "ban_evasion")
            at_s = banned_s + int((0.15 + rng.gamma(1.2, 2.4)) * DAY_S)
        else:
            break
        if at_s >= world.end_s - 3_600:
            break


def _first_home(world: World, account: Account, rng: np.random.Generator) -> None:
    """Put some cheaters into households of honest people, whom they make look bad."""
    if rng.random() < 0.25:
        members = world.household_members
        if members:
            mate = world.accounts[members[int(rng.integers(len(members)))]]
            account.home, account.country = mate.home, mate.country
            if mate.shared_device >= 0 and rng.random() < 0.5:
                account.shared_device, account.p_shared = mate.shared_device, 0.25
            return
    account.home = world.addresses.new_home()


def _come_back(
    world: World, account: Account, previous: Account, plan: BanEvader, rng: np.random.Generator
) -> None:
    account.country, account.client = previous.country, previous.client
    account.form_s = round(account.form_s * 0.85, 1)
    if rng.random() < plan.same_device_share:
        account.devices = (previous.devices[0], *account.devices[1:])
        if rng.random() < 0.8:
            account.signup_device = previous.devices[0]
        if rng.random() < 0.3:
            account.home = previous.home
        else:
            account.home = world.addresses.new_home()
            account.p_mobile = max(account.p_mobile, float(rng.uniform(0.0, 0.8)))
            account.p_vpn = float(rng.uniform(0.4, 0.9)) if rng.random() < 0.15 else account.p_vpn
    else:
        account.home = previous.home
        account.pays = max(account.pays, 0.8)
    if previous.pays and rng.random() < 0.5:
        previous.card = previous.card if previous.card >= 0 else world.new_card()
        account.card = previous.card
        account.pays = max(account.pays, 0.8)
    if previous.phone and rng.random() < 0.3:
        account.phone = previous.phone
