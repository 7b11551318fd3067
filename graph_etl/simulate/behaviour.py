"""What players do after they signed up: log in from here and there, gift to friends, pay."""

import numpy as np
import numpy.typing as npt

from graph_etl.simulate.population import clock_s
from graph_etl.simulate.world import DAY_S, PRODUCTS_EUR, World

_MAX_LOGINS = 90
_PRODUCTS = tuple(PRODUCTS_EUR)
_PRODUCT_WEIGHTS = (0.42, 0.22, 0.20, 0.12, 0.04)


def play(world: World) -> None:
    """Let everybody with habits sign up, log in, gift and pay; attacks add their own on top."""
    _sign_up(world)
    _log_in(world)
    _gift(world)
    _pay(world)


def _contexts(world: World, who: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw where each event happens: 0 home, 1 mobile, 2 site, 3 VPN; (n,)."""
    table = np.array([(a.p_vpn, a.p_site, a.p_mobile, a.home >= 0) for a in world.accounts])[who]
    draw = rng.random((who.size, 3))
    context = np.where(draw[:, 2] < table[:, 2], 1, np.where(table[:, 3] > 0, 0, 1))
    context = np.where(draw[:, 1] < table[:, 1], 2, context)
    return np.where(draw[:, 0] < table[:, 0], 3, context)


def _ips(
    world: World,
    who: npt.NDArray[np.int64],
    at_s: npt.NDArray[np.int64],
    context: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Return the address that each event comes from, (n,)."""
    homes, sites, carriers, campus = np.array(
        [(a.home, a.site, a.carrier, a.place == "campus") for a in world.accounts]
    )[who].T
    ips = np.zeros(who.size, dtype=np.int64)
    for code in range(4):
        rows = np.flatnonzero(context == code)
        if code == 0:
            ips[rows] = world.addresses.home_ips(homes[rows], at_s[rows])
        elif code == 1:
            ips[rows] = world.addresses.mobile_ips(carriers[rows], rng)
        elif code == 2:
            ips[rows] = np.where(
                campus[rows] == 1,
                world.addresses.campus_ips(sites[rows], rng),
                world.addresses.cafe_ips(sites[rows]),
            )
        else:
            ips[rows] = world.addresses.vpn_ips(rows.size, rng)
    return ips


def _devices(
    world: World,
    who: npt.NDArray[np.int64],
    context: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Return the device that each event comes from, (n,)."""
    owned = np.array([(*a.devices, *(a.devices[0],) * (3 - len(a.devices)))[:3] for a in world.accounts])
    shared = np.array([a.shared_device for a in world.accounts])
    p_shared = np.array([a.p_shared for a in world.accounts])
    cafe = np.array([a.place == "cafe" for a in world.accounts])
    slot = rng.choice(3, who.size, p=(0.68, 0.22, 0.10))
    at_seat = cafe[who] & (context == 2)
    slot = np.where(at_seat, 1 + slot % 2, np.where(cafe[who], 0, slot))
    device = owned[who, slot]
    borrows = (shared[who] >= 0) & (rng.random(who.size) < p_shared[who]) & np.isin(context, (0, 2))
    return np.where(borrows, shared[who], device)


def _sign_up(world: World) -> None:
    rng = world.rng("sign up")
    open_ones = np.array([i for i, a in enumerate(world.accounts) if a.signup_ip < 0], dtype=np.int64)
    at_s = np.array([a.signup_s for a in world.accounts], dtype=np.int64)[open_ones]
    context = _contexts(world, open_ones, rng)
    ips = _ips(world, open_ones, at_s, context, rng)
    devices = _devices(world, open_ones, context, rng)
    for number, ip, device in zip(open_ones, ips, devices, strict=True):
        account = world.accounts[int(number)]
        account.signup_ip = int(ip)
        if account.signup_device < 0:
            account.signup_device = int(device)


def _log_in(world: World) -> None:
    rng = world.rng("log in")
    start = np.array([a.signup_s for a in world.accounts], dtype=np.int64)
    stop = np.minimum(np.array([a.leave_s for a in world.accounts], dtype=np.int64), world.end_s)
    rate = np.array([a.logins_per_day for a in world.accounts])
    country = np.array([a.country for a in world.accounts])
    span_s = np.maximum(stop - start, 0)
    count = np.minimum(rng.poisson(rate * span_s / DAY_S), _MAX_LOGINS)
    who = np.repeat(np.arange(count.size), count)
    at_s = start[who] + (rng.random(who.size) * span_s[who]).astype(np.int64)
    # Beyond the first day people come when they are awake; within it, whenever the interest lasts.
    awake = at_s // DAY_S * DAY_S + clock_s(who.size, country[who], rng)
    at_s = np.where((awake > start[who] + 60) & (awake < stop[who]), awake, np.maximum(at_s, start[who] + 60))
    context = _contexts(world, who, rng)
    ips = _ips(world, who, at_s, context, rng)
    devices = _devices(world, who, context, rng)
    events = np.column_stack([who, at_s, devices, ips])
    world.logins.append(events[at_s < world.end_s])


def _friends(world: World, rng: np.random.Generator) -> list[list[int]]:
    """Return everybody's friends: the household, some of the same site, some from anywhere."""
    n = len(world.accounts)
    players = np.array([i for i, a in enumerate(world.accounts) if a.logins_per_day > 0], dtype=np.int64)
    homes: dict[int, list[int]] = {}
    sites: dict[tuple[str, int], list[int]] = {}
    for number, account in enumerate(world.accounts):
        if account.place == "household":
            homes.setdefault(account.home, []).append(number)
        elif account.site >= 0:
            sites.setdefault((account.place, account.site), []).append(number)
    early = [int(i) for i in players if world.accounts[i].signup_s < world.end_s // 4]
    streamers = rng.permutation(early)[: world.config.honest.streamers]
    friends: list[list[int]] = []
    for number in range(n):
        account = world.accounts[number]
        if not account.gifts:
            friends.append([])
            continue
        circle = [i for i in homes.get(account.home, []) if i != number] * 2
        site = sites.get((account.place, account.site), [])
        if site:
            circle += [site[int(i)] for i in rng.integers(0, len(site), 3)]
        circle += [int(players[int(i)]) for i in rng.integers(0, players.size, int(rng.integers(1, 4)))]
        if streamers.size and rng.random() < 0.12:
            circle += [int(streamers[int(rng.integers(streamers.size))])] * 3
        friends.append(circle)
    return friends


def _gift(world: World) -> None:
    rng = world.rng("gifts")
    for sender, circle in enumerate(_friends(world, rng)):
        account = world.accounts[sender]
        if not circle:
            continue
        last_s = min(account.leave_s, world.end_s)
        for _ in range(int(rng.poisson(account.gifts))):
            receiver = circle[int(rng.integers(len(circle)))]
            first_s = max(account.signup_s, world.accounts[receiver].signup_s) + 600
            if first_s < last_s:
                coins = 10 * max(1, round(float(rng.lognormal(2.2, 0.9))))
                world.gift(sender, int(rng.integers(first_s, last_s)), receiver, coins)


def _pay(world: World) -> None:
    rng = world.rng("payments")
    for number, account in enumerate(world.accounts):
        if not account.pays:
            continue
        if account.card < 0:
            account.card = world.new_card()
        first_s, last_s = account.signup_s + 900, min(account.leave_s, world.end_s)
        for _ in range(int(rng.poisson(account.pays)) if first_s < last_s else 0):
            product = _PRODUCTS[int(rng.choice(len(_PRODUCTS), p=_PRODUCT_WEIGHTS))]
            world.pay(number, int(rng.integers(first_s, last_s)), account.card, product)
