"""The bad actors: one function per tactic, each leaving the traces that its tactic leaves."""

from collections.abc import Callable, Sequence

import numpy as np

from graph_etl.simulate.config import (
    AliasFarm,
    Attack,
    BanEvader,
    CgnatFarm,
    DeviceFarm,
    DripFarm,
    Funnel,
    PaymentMules,
    SubnetFarm,
)
from graph_etl.simulate.evaders import evade
from graph_etl.simulate.world import DAY_S, Account, Ring, World

_BONUS_COINS = 500  # what the game gives to every newcomer, and what most farms are after


def attack(world: World) -> None:
    """Enrol every ring of the configuration and let it act."""
    for plan in world.config.attacks:
        for k in range(plan.repeat):
            rng = world.rng(f"attack {plan.name} {k}")
            name = plan.name if plan.repeat == 1 else f"{plan.name}_{k + 1:02d}"
            ring = Ring(name, plan.name, plan.tactic)
            world.rings.append(ring)
            _run(world, plan, ring, k, rng)


def _run(world: World, plan: Attack, ring: Ring, turn: int, rng: np.random.Generator) -> None:
    if isinstance(plan, BanEvader):
        evade(world, plan, ring, rng)
        return
    day = plan.day if turn == 0 else None
    if day is None:
        # Repeats are spread over the period, so that what was learned from one can serve for the next.
        room = max(0.1, world.config.days - plan.window_s / DAY_S - 2.5)
        day = 2.0 + room * (turn + float(rng.random())) / plan.repeat
    start_s = int(day * DAY_S)
    tactics: dict[type, Callable[..., None]] = {
        DeviceFarm: _device_farm,
        SubnetFarm: _subnet_farm,
        DripFarm: _drip_farm,
        Funnel: _funnel,
        CgnatFarm: _cgnat_farm,
        AliasFarm: _alias_farm,
        PaymentMules: _payment_mules,
    }
    tactics[type(plan)](world, plan, ring, start_s, rng)


def bad_account(
    world: World,
    ring: Ring,
    rng: np.random.Generator,
    *,
    at_s: int,
    device: int,
    ip: int,
    country: int,
    email: str | None = None,
    hurry: float = 1.0,
) -> int:
    """Enrol one account of a ring.

    Args:
        world: The platform.
        ring: The ring that it belongs to.
        rng: Source of randomness.
        at_s: When it signs up.
        device: The device that it signs up on.
        ip: The address code that it signs up from.
        country: Country that it claims.
        email: Its address; by default a throw-away one.
        hurry: Factor on the time that the form takes; below 1 is faster than people are.

    Returns:
        The account's number.
    """
    at_s = min(int(at_s), world.end_s - 1)
    number = world.add(
        Account(
            signup_s=at_s,
            place="attack",
            country=country,
            devices=(device,),
            email=email or world.identities.email(throwaway=True),
            phone=world.identities.phone() if rng.random() < 0.1 else None,
            client=int(rng.choice(4, p=(0.42, 0.40, 0.15, 0.03))),
            campaign="newsletter" if rng.random() < 0.04 else None,
            form_s=round(float(rng.lognormal(3.7 + np.log(hurry), 0.5)), 1),
            newsletter=bool(rng.random() < 0.3),
            leave_s=at_s,
            ring=ring.name,
            signup_device=device,
            signup_ip=int(ip),
        )
    )
    ring.accounts.append(number)
    return number


def _home_ip(world: World, home: int, at_s: int) -> int:
    return int(world.addresses.home_ips([home], [at_s])[0])


def _burst_s(start_s: int, window_s: float, n: int, rng: np.random.Generator) -> list[int]:
    """Draw sign-up times that span exactly the window, first and last at its ends."""
    inner = np.sort(rng.random(max(n - 2, 0)))
    share = np.concatenate([[0.0], inner, [1.0]])[:n]
    return [int(start_s + s * window_s) for s in share]


def _collect_bonus(
    world: World,
    members: Sequence[int],
    ip_of: Callable[[int, int], int],
    rng: np.random.Generator,
    *,
    days: float,
    collector: int | None,
    active_share: float = 0.75,
) -> None:
    """Let members log in for the daily bonus for a while and pass most of it on."""
    for member in members:
        if rng.random() > active_share:
            continue
        account = world.accounts[member]
        for k in range(1 + int(rng.poisson(days))):
            at_s = account.signup_s + int(k * DAY_S + rng.uniform(300, 20_000))
            world.login(member, at_s, account.devices[0], ip_of(member, at_s))
        if collector is not None and rng.random() < 0.7:
            at_s = account.signup_s + int(rng.exponential(1.2) * DAY_S) + 1_200
            world.gift(member, at_s, collector, int(10 * rng.integers(12, _BONUS_COINS // 10)))
        if rng.random() < 0.15:  # real players receive some of it, which links them for nothing
            stranger = int(rng.integers(len(world.accounts)))
            if world.accounts[stranger].signup_s < account.signup_s:
                world.gift(member, account.signup_s + int(rng.uniform(2_000, 200_000)), stranger, 20)


def _device_farm(world: World, plan: DeviceFarm, ring: Ring, start_s: int, rng: np.random.Generator) -> None:
    devices = [world.new_device() for _ in range(plan.devices)]
    home, country = world.addresses.new_home(static=True), int(rng.integers(6))
    times = _burst_s(start_s, plan.window.total_seconds() - 20, plan.accounts, rng)
    for k, at_s in enumerate(times):
        device = devices[k] if k < len(devices) else devices[int(rng.integers(len(devices)))]
        ip = _home_ip(world, home, at_s)
        bad_account(world, ring, rng, at_s=at_s, device=device, ip=ip, country=country, hurry=0.75)
    members = list(ring.accounts)
    _collect_bonus(
        world,
        members,
        lambda _, at_s: _home_ip(world, home, at_s),
        rng,
        days=2.0,
        collector=members[0],
    )
    if plan.scout:
        _scout(world, ring, members[1], start_s, country, rng)


def _scout(
    world: World, ring: Ring, member: int, start_s: int, country: int, rng: np.random.Generator
) -> None:
    """Add the operator's earlier account, banned before, and let one member use its device once."""
    device, home = world.new_device(), world.addresses.new_home(static=True)
    signup_s = start_s - int(rng.uniform(6.0, 7.0) * DAY_S)
    ip = _home_ip(world, home, signup_s)
    scout = bad_account(world, ring, rng, at_s=signup_s, device=device, ip=ip, country=country)
    for hours in (2, 20, 30):
        at_s = signup_s + hours * 3_600
        world.login(scout, at_s, device, _home_ip(world, home, at_s))
    world.ban(scout, signup_s + int(rng.uniform(1.5, 3.0) * DAY_S), "multiple_accounts")
    # The old device comes out once more, on the road: the device is all that both have in common.
    at_s = world.accounts[member].signup_s + int(rng.uniform(7, 30) * 3_600)
    world.login(member, at_s, device, int(world.addresses.mobile_ips(np.zeros(1, dtype=np.int64), rng)[0]))


def _subnet_farm(world: World, plan: SubnetFarm, ring: Ring, start_s: int, rng: np.random.Generator) -> None:
    base, country = world.addresses.rent_subnet(), int(rng.integers(6))
    word, domain = world.identities.pattern()
    hosts = rng.permutation(np.arange(2, 250))
    at_s = start_s
    interval_s = plan.interval.total_seconds()
    for k in range(plan.accounts):
        bad_account(
            world,
            ring,
            rng,
            at_s=at_s,
            device=world.new_device(),
            ip=base + int(hosts[k % hosts.size]),
            country=country,
            email=world.identities.numbered(word, domain) if rng.random() < 0.85 else None,
            hurry=0.6,
        )
        at_s += int(rng.normal(interval_s, interval_s * 0.08))
        if rng.random() < 0.04:  # the operator takes a break
            at_s += int(rng.uniform(1.0, 2.5) * interval_s)
    members = list(ring.accounts)
    _collect_bonus(
        world,
        members,
        lambda member, _: world.accounts[member].signup_ip,
        rng,
        days=3.0,
        collector=members[0] if rng.random() < 0.5 else None,
        active_share=0.6,
    )


def _drip_farm(world: World, plan: DripFarm, ring: Ring, start_s: int, rng: np.random.Generator) -> None:
    devices, country = [world.new_device() for _ in range(plan.devices)], int(rng.integers(6))
    times = np.sort(start_s + rng.random(plan.accounts) * plan.days * DAY_S)
    for k, at_s in enumerate(times):
        bad_account(
            world,
            ring,
            rng,
            at_s=int(at_s),
            device=devices[k % len(devices)],
            ip=int(world.addresses.proxy_ips(1, rng)[0]),
            country=country if rng.random() < 0.7 else int(rng.integers(6)),
        )
    _collect_bonus(
        world,
        list(ring.accounts),
        lambda *_: int(world.addresses.proxy_ips(1, rng)[0]),
        rng,
        days=1.5,
        collector=ring.accounts[int(rng.integers(len(ring.accounts)))],
    )


def _funnel(world: World, plan: Funnel, ring: Ring, start_s: int, rng: np.random.Generator) -> None:
    beneficiaries: list[int] = []
    for _ in range(plan.beneficiaries):
        home, device = world.addresses.new_home(), world.new_device()
        at_s = max(600, start_s - int(rng.uniform(0.5, 6.0) * DAY_S))
        ip = _home_ip(world, home, at_s)
        country = int(rng.integers(6))
        number = bad_account(world, ring, rng, at_s=at_s, device=device, ip=ip, country=country)
        account = world.accounts[number]
        account.home, account.logins_per_day, account.gifts = home, 1.4, 1.5
        account.leave_s = world.end_s
        beneficiaries.append(number)
    for at_s in np.sort(start_s + rng.random(plan.accounts - plan.beneficiaries) * plan.days * DAY_S):
        _feeder(world, ring, int(at_s), beneficiaries, rng)


def _feeder(world: World, ring: Ring, at_s: int, beneficiaries: list[int], rng: np.random.Generator) -> None:
    device, carrier = world.new_device(), int(rng.integers(world.config.honest.mobile.carriers))

    def ip() -> int:
        if rng.random() < 0.45:
            return int(world.addresses.mobile_ips(np.array([carrier]), rng)[0])
        return int(world.addresses.proxy_ips(1, rng)[0])

    email = world.identities.email()
    country = int(rng.integers(6))
    member = bad_account(world, ring, rng, at_s=at_s, device=device, ip=ip(), country=country, email=email)
    for k in range(1 + int(rng.poisson(1.6))):
        world.login(member, at_s + int(k * DAY_S + rng.uniform(400, 30_000)), device, ip())
    for _ in range(1 + int(rng.random() < 0.35)):
        receiver = beneficiaries[int(rng.integers(len(beneficiaries)))]
        gift_s = at_s + int(rng.uniform(4, 40) * 3_600)
        world.gift(member, gift_s, receiver, int(10 * rng.integers(30, _BONUS_COINS // 10)))


def _cgnat_farm(world: World, plan: CgnatFarm, ring: Ring, start_s: int, rng: np.random.Generator) -> None:
    carrier = np.array([int(rng.integers(world.config.honest.mobile.carriers))])
    country, device = int(rng.integers(6)), -1

    def ip(*_: int) -> int:
        return int(world.addresses.mobile_ips(carrier, rng)[0])

    times = _burst_s(start_s, plan.window.total_seconds(), plan.accounts, rng)
    for k, at_s in enumerate(times):
        if k % plan.accounts_per_device == 0:
            device = world.new_device()
        bad_account(world, ring, rng, at_s=at_s, device=device, ip=ip(), country=country, hurry=0.85)
    members = list(ring.accounts)
    _collect_bonus(world, members, ip, rng, days=2.0, collector=members[-1], active_share=0.65)


def _alias_farm(world: World, plan: AliasFarm, ring: Ring, start_s: int, rng: np.random.Generator) -> None:
    boxes = [world.identities.mailbox_name() for _ in range(plan.mailboxes)]
    times = np.sort(start_s + rng.random(plan.accounts) * plan.days * DAY_S)
    for k, at_s in enumerate(times):
        bad_account(
            world,
            ring,
            rng,
            at_s=int(at_s),
            device=world.new_device(),
            ip=int(world.addresses.proxy_ips(1, rng)[0]),
            country=int(rng.integers(6)),
            email=world.identities.alias(boxes[k % len(boxes)]),
        )
    _collect_bonus(
        world,
        list(ring.accounts),
        lambda *_: int(world.addresses.proxy_ips(1, rng)[0]),
        rng,
        days=2.0,
        collector=None,
    )


def _payment_mules(
    world: World, plan: PaymentMules, ring: Ring, start_s: int, rng: np.random.Generator
) -> None:
    cards = [world.new_card() for _ in range(plan.cards)]
    times = np.sort(start_s + rng.random(plan.accounts) * plan.days * DAY_S)
    for k, at_s in enumerate(times):
        home = world.addresses.new_home()
        shared = k % 3 == 1  # every third mule borrows the device of the one before
        device = world.accounts[ring.accounts[-1]].devices[0] if shared else world.new_device()
        ip = _home_ip(world, home, int(at_s))
        member = bad_account(
            world, ring, rng, at_s=int(at_s), device=device, ip=ip, country=int(rng.integers(6))
        )
        account = world.accounts[member]
        account.home = home
        for j in range(1 + int(rng.poisson(1.0))):
            world.login(member, int(at_s) + int(j * DAY_S + rng.uniform(300, 20_000)), device, ip)
        if k == 0:
            continue  # the fence only receives
        for _ in range(1 + int(rng.poisson(1.2))):
            card = cards[int(rng.integers(len(cards)))]
            product = "gold_5000" if rng.random() < 0.55 else "gold_1200"
            pay_s = int(at_s) + int(rng.exponential(0.4) * DAY_S) + 600
            world.pay(member, pay_s, card, product)
            gift_s = pay_s + int(rng.uniform(0.5, 30) * 3_600)
            world.gift(member, gift_s, ring.accounts[0], int(10 * rng.integers(60, 400)))
