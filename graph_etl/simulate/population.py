"""Honest players: where they live, what they share, when they sign up."""

import numpy as np
import numpy.typing as npt

from graph_etl.simulate.config import Campaign
from graph_etl.simulate.world import DAY_S, UTC_OFFSET_H, Account, World

_HOUR_WEIGHTS = np.array(  # players sleep at night and play after dinner, local time
    [3, 2, 1, 1, 1, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 7, 8, 9, 10, 12, 13, 12, 9, 6], dtype=np.float64
)
_COUNTRY_WEIGHTS = (0.24, 0.14, 0.12, 0.26, 0.14, 0.10)


def clock_s(n: int, country: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw times of day at which people are awake.

    Args:
        n: How many.
        country: Each person's country, (n,).
        rng: Source of randomness.

    Returns:
        Seconds after midnight UTC, (n,).
    """
    hour = rng.choice(24, n, p=_HOUR_WEIGHTS / _HOUR_WEIGHTS.sum())
    local = hour * 3_600 + rng.integers(0, 3_600, n)
    offset_s = np.asarray(UTC_OFFSET_H, dtype=np.int64)[country] * 3_600
    midnight_s: npt.NDArray[np.int64] = (local - offset_s) % DAY_S
    return midnight_s


def arrival_s(world: World, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw sign-up times: a rush at the launch, busier weekends, people awake.

    Returns:
        Seconds since the start, (n,), all inside the period.
    """
    day = np.arange(world.config.days)
    weight = (1.0 + 2.0 * np.exp(-day / 6.0)) * np.where(day % 7 >= 5, 1.35, 1.0)
    days = rng.choice(day, n, p=weight / weight.sum())
    country = rng.integers(0, len(UTC_OFFSET_H), n)
    return np.minimum(days * DAY_S + clock_s(n, country, rng), world.end_s - 1)


def person(world: World, rng: np.random.Generator, place: str, signup_s: int, country: int = -1) -> Account:
    """Make one honest player with devices, mail, habits and an end of interest; not yet enrolled.

    Args:
        world: The platform.
        rng: Source of randomness.
        place: Where the person plays from mostly, such as ``household``.
        signup_s: When the person signs up.
        country: Country, or -1 to draw one.

    Returns:
        The account, without a home.
    """
    honest = world.config.honest
    if country < 0:
        country = int(rng.choice(len(_COUNTRY_WEIGHTS), p=_COUNTRY_WEIGHTS))
    n_devices = 1 + int(rng.random() < 0.38) + int(rng.random() < 0.10)
    account = Account(
        signup_s=int(signup_s),
        place=place,
        country=country,
        devices=tuple(world.new_device() for _ in range(n_devices)),
        email=world.identities.email(),
        carrier=int(rng.integers(world.config.honest.mobile.carriers)),
        phone=world.identities.phone() if rng.random() < 0.25 else None,
        client=int(rng.choice(4, p=(0.36, 0.34, 0.20, 0.10))),
        campaign="newsletter" if rng.random() < 0.06 else None,
        form_s=round(float(rng.lognormal(3.75, 0.55)), 1),
        newsletter=bool(rng.random() < 0.35),
    )
    if rng.random() < honest.mobile.also_share:
        account.p_mobile = float(rng.uniform(0.1, 0.6))
    if rng.random() < honest.vpn.share:
        account.p_vpn = float(rng.uniform(0.3, 0.9))
    if rng.random() < honest.leave_first_day_share:
        account.leave_s = account.signup_s + int(rng.uniform(600, 72_000))
        account.logins_per_day = float(rng.uniform(0.5, 3.0))
    else:
        account.leave_s = account.signup_s + int(rng.exponential(24.0) * DAY_S) + DAY_S // 2
        account.logins_per_day = min(float(rng.lognormal(np.log(honest.logins_per_day), 0.6)), 4.0)
        account.gifts = float(rng.gamma(0.6, 6.0)) if rng.random() < 0.55 else 0.0
        account.pays = float(rng.gamma(0.8, 2.0)) if rng.random() < 0.17 else 0.0
    return account


def settle(world: World, n: int) -> None:
    """Enrol ``n`` honest players in homes, households, a campus, cafés and on mobile networks.

    Args:
        world: The platform, still empty.
        n: How many.
    """
    honest = world.config.honest
    before = len(world.accounts)
    _households(world, int(n * honest.households.share))
    for site in range(honest.campus.sites):
        _campus(world, site, min(honest.campus.accounts_per_site, n // 4))
    for site in range(honest.cafes.sites):
        _cafe(world, site, min(honest.cafes.accounts_per_site, n // 8))
    settle_singles(world, max(0, n - (len(world.accounts) - before)))
    for campaign in honest.campaigns:
        _campaign(world, campaign, before)
    _second_hand(world, before)


def _households(world: World, n: int) -> None:
    rng = world.rng("households")
    config = world.config.honest.households
    enrolled = 0
    while enrolled < n:
        size = int(min(2 + rng.geometric(0.5) - 1, config.size[1]))
        size = max(size, config.size[0])
        home = world.addresses.new_home()
        first_s = int(arrival_s(world, 1, rng)[0])
        country = int(rng.choice(len(_COUNTRY_WEIGHTS), p=_COUNTRY_WEIGHTS))
        same_evening = rng.random() < config.same_evening_share
        family = world.new_device() if rng.random() < config.family_device_share else -1
        card = world.new_card()
        at_s = first_s
        for member in range(size):
            if member:
                gap = rng.uniform(180, 2_400) if same_evening else rng.exponential(9.0) * DAY_S
                at_s = at_s + int(gap)
                if at_s >= world.end_s:
                    at_s = int(rng.integers(first_s, world.end_s))
            account = person(world, rng, "household", at_s, country)
            account.home = home
            if family >= 0 and rng.random() < 0.8:
                account.shared_device, account.p_shared = family, float(rng.uniform(0.15, 0.9))
            if account.pays and rng.random() < 0.6:
                account.card = card
            world.household_members.append(world.add(account))
            enrolled += 1


def _campus(world: World, site: int, n: int) -> None:
    rng = world.rng(f"campus{site}")
    config = world.config.honest.campus
    lab = [world.new_device() for _ in range(config.lab_devices)]
    country = int(rng.integers(4))
    for at_s in arrival_s(world, n, rng):
        account = person(world, rng, "campus", int(at_s), country if rng.random() < 0.8 else -1)
        account.home, account.site = world.addresses.new_home(), site
        account.p_site = float(rng.uniform(0.55, 0.98))
        account.p_mobile *= 0.4
        if rng.random() < 0.5:
            account.email = world.identities.email(domain="students.campus.example")
        if rng.random() < config.lab_share:
            account.shared_device = lab[int(rng.integers(len(lab)))]
            account.p_shared = float(rng.uniform(0.2, 0.7))
        world.add(account)


def _cafe(world: World, site: int, n: int) -> None:
    rng = world.rng(f"cafe{site}")
    seats = [world.new_device() for _ in range(world.config.honest.cafes.devices)]
    country = int(rng.integers(6))
    for at_s in arrival_s(world, n, rng):
        account = person(world, rng, "cafe", int(at_s), country)
        account.home, account.site = world.addresses.new_home(), site
        account.p_site = float(rng.uniform(0.3, 0.95))
        account.devices = (
            account.devices[0],
            *(seats[int(i)] for i in rng.choice(len(seats), 2, replace=False)),
        )
        world.add(account)


def settle_singles(world: World, n: int) -> None:
    """Enrol ``n`` players who live alone, some of them on mobile networks only."""
    rng = world.rng(f"singles {len(world.accounts)}")
    for at_s in arrival_s(world, n, rng):
        mobile = rng.random() < world.config.honest.mobile.only_share
        account = person(world, rng, "mobile" if mobile else "single", int(at_s))
        if mobile:
            account.p_mobile, account.p_vpn = 1.0, 0.0
        else:
            account.home = world.addresses.new_home()
        world.add(account)


def _campaign(world: World, campaign: Campaign, first: int) -> None:
    """Move some singles' sign-ups into the campaign's window."""
    rng = world.rng(f"campaign {campaign.name}")
    free = [
        number
        for number, account in enumerate(world.accounts[first:], first)
        if account.place in ("single", "mobile") and account.campaign is None
    ]
    chosen = rng.choice(free, min(campaign.accounts, len(free)), replace=False)
    window_s = campaign.window.total_seconds()
    for number in np.sort(chosen):
        account = world.accounts[int(number)]
        at_s = int(campaign.day * DAY_S + window_s * rng.beta(1.2, 2.5))
        account.leave_s += at_s - account.signup_s
        account.signup_s = at_s
        account.campaign = campaign.name if rng.random() < 0.85 else None


def _second_hand(world: World, first: int) -> None:
    """Let strangers buy devices whose sellers have left; honest people share devices, too."""
    rng = world.rng("second hand")
    n = world.config.honest.second_hand_devices
    numbers = [i for i, account in enumerate(world.accounts[first:], first) if account.place == "single"]
    if len(numbers) < 4 * n:
        n = len(numbers) // 4
    chosen = [int(i) for i in rng.choice(numbers, 2 * n, replace=False)] if n else []
    for one, other in zip(chosen[:n], chosen[n:], strict=True):
        seller, buyer = sorted((one, other), key=lambda i: world.accounts[i].signup_s)
        device = world.accounts[seller].devices[0]
        world.accounts[seller].leave_s = min(
            world.accounts[seller].leave_s, world.accounts[buyer].signup_s - 3_600
        )
        world.accounts[buyer].devices = (device, *world.accounts[buyer].devices[1:])
