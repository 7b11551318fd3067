"""Example bodies of ``POST /v1/risk``: three sign-ups right after the end of the simulated data."""

from itertools import pairwise
from typing import Any

from graph_etl.simulate.tables import Names
from graph_etl.simulate.world import CLIENTS, COUNTRIES, DAY_S, Account, World


def example_requests(world: World, names: Names) -> dict[str, dict[str, Any]]:
    """Return the sign-ups of a household's next member, a farm's next account and a ban evader.

    A kind of which the simulation holds no fitting example is left out.

    Args:
        world: The finished world.
        names: The ids.

    Returns:
        Bodies by name: ``household``, ``farm``, ``ban_evader``.
    """
    bodies: dict[str, dict[str, Any]] = {}
    household = _household(world)
    if household is not None:
        member, device = household
        ip = int(world.addresses.home_ips([member.home], [world.end_s])[0])
        bodies["household"] = _body(
            world, names, 1, member, device, ip, form_s=52.4, email="mira.lindqvist7@post.example"
        )
    farm = _farm(world)
    if farm is not None:
        bodies["farm"] = _body(
            world,
            names,
            2,
            farm,
            farm.signup_device,
            farm.signup_ip,
            form_s=17.8,
            email="wildgecko5501@mail.example",
        )
    evader = _evader(world)
    if evader is not None:
        ip = int(world.addresses.home_ips([world.addresses.new_home(static=True)], [world.end_s])[0])
        bodies["ban_evader"] = _body(
            world, names, 3, evader, evader.devices[0], ip, form_s=31.0, email="c.amari88@webbox.example"
        )
    return bodies


def _household(world: World) -> tuple[Account, int] | None:
    """Find an honest household with one lasting address, a shared device and sign-ups days apart."""
    homes: dict[int, list[int]] = {}
    for number, account in enumerate(world.accounts):
        if account.home >= 0 and (account.place == "household" or account.ring):
            homes.setdefault(account.home, []).append(number)
    reviewed = {verdict.account for verdict in world.verdicts if verdict.good}
    judged_bad = {verdict.account for verdict in world.verdicts if not verdict.good}
    best: tuple[tuple[bool, int], Account, int] | None = None
    for home, numbers in sorted(homes.items()):
        members = [world.accounts[i] for i in numbers]
        times = sorted(a.signup_s for a in members)
        shared = [a.shared_device for a in members if a.shared_device >= 0]
        if any(a.ring for a in members) or judged_bad & set(numbers) or len(shared) < 2 or len(members) < 3:
            continue
        gaps = [b - a for a, b in pairwise(times)]
        quiet = times[-1] < world.end_s - 4 * DAY_S
        if not world.addresses.is_static(home) or min(gaps) < DAY_S or not quiet:
            continue
        rank = (bool(reviewed & set(numbers)), len(members))
        if best is None or rank > best[0]:
            best = (rank, members[0], shared[0])
    return None if best is None else (best[1], best[2])


def _farm(world: World) -> Account | None:
    """Return the last account of the device farm that signed up latest."""
    farms = [ring for ring in world.rings if ring.tactic == "device_farm"]
    if not farms:
        return None
    members = max(
        ([world.accounts[i] for i in ring.accounts] for ring in farms),
        key=lambda accounts: max(a.signup_s for a in accounts),
    )
    return max(members, key=lambda a: a.signup_s)


def _evader(world: World) -> Account | None:
    """Return the account of the evader who was banned last, a day or more ago, and has not come back."""
    candidates = []
    for ring in world.rings:
        if ring.tactic == "ban_evader":
            last = world.accounts[ring.accounts[-1]]
            if 0 <= last.banned_s <= world.end_s - DAY_S and last.shared_device < 0:
                candidates.append(last)
    return max(candidates, key=lambda a: a.banned_s, default=None)


def _body(
    world: World,
    names: Names,
    serial: int,
    like: Account,
    device: int,
    ip: int,
    *,
    form_s: float,
    email: str,
) -> dict[str, Any]:
    return {
        "event_type": "signup",
        "event_id": f"demo{serial:04d}",
        "event_timestamp": names.time(world.end_s + 20 * serial),
        "account": {"id": f"u{len(world.accounts) + serial:06d}"},
        "identifiers": {
            "device": names.device(device),
            "ip": world.addresses.text(ip),
            "email": email,
        },
        "interactions": [],
        "properties": {
            "country": COUNTRIES[like.country],
            "client": CLIENTS[like.client],
            "form_s": form_s,
            "newsletter": False,
        },
    }
