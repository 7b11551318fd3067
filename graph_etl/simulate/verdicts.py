"""What the platform's people find out: bans with delays, missed rings, mistakes, reviews."""

import numpy as np

from graph_etl.simulate.config import BanEvader
from graph_etl.simulate.world import DAY_S, Ring, Verdict, World

_REASONS = {
    "device_farm": "multiple_accounts",
    "subnet_farm": "multiple_accounts",
    "drip_farm": "multiple_accounts",
    "cgnat_farm": "multiple_accounts",
    "alias_farm": "multiple_accounts",
    "funnel": "gift_abuse",
    "payment_mules": "chargeback",
}
_MEDIAN_DELAY_S = {  # from the moment a ring has half of its accounts until somebody notices
    "device_farm": 1.2 * DAY_S,
    "subnet_farm": 2.0 * DAY_S,
    "drip_farm": 4.0 * DAY_S,
    "cgnat_farm": 3.0 * DAY_S,
    "alias_farm": 4.0 * DAY_S,
    "funnel": 5.0 * DAY_S,
    "payment_mules": 13.0 * DAY_S,
}


def judge(world: World) -> None:
    """Give verdicts: bans of what was found, reviews of honest accounts, and a few mistakes."""
    rng = world.rng("verdicts")
    for plan in world.config.attacks:
        if isinstance(plan, BanEvader):
            continue  # bans are part of the evader's own story
        rings = [ring for ring in world.rings if ring.plan == plan.name]
        n_found = int(len(rings) * world.config.verdicts.found_ring_share + rng.random())
        # Older rings were mostly noticed first; they have been there for longer.
        noticed = set(np.argsort(np.arange(len(rings)) + 1.5 * rng.random(len(rings)))[:n_found].tolist())
        for k, ring in enumerate(rings):
            share = world.config.verdicts.found_member_share if k in noticed else 0.0
            _judge_ring(world, ring, share if plan.found is None else plan.found, rng)
    _review(world, rng)
    _mistakes(world, rng)


def _judge_ring(world: World, ring: Ring, found: float, rng: np.random.Generator) -> None:
    """Ban a share of a ring's accounts, some hours to weeks after somebody noticed."""
    times_s = [world.accounts[i].signup_s for i in ring.accounts]
    noticed_s = float(np.median(times_s)) + _MEDIAN_DELAY_S[ring.tactic] * float(rng.lognormal(0.0, 0.5))
    for number in ring.accounts:
        account = world.accounts[number]
        if account.banned_s >= 0 or rng.random() >= found:
            continue
        known_s = max(noticed_s, account.signup_s + 3_600) + rng.exponential(0.6) * DAY_S
        world.ban(number, int(known_s), _REASONS[ring.tactic])


def _review(world: World, rng: np.random.Generator) -> None:
    """Clear some honest accounts, most of them because something about them looked odd."""
    streamed = np.bincount([g[2] for g in world.gifts], minlength=len(world.accounts))
    odd = {"household": 3.0, "campus": 1.6, "cafe": 2.0}
    weight = np.array(
        [0.0 if a.ring else odd.get(a.place, 1.0) + (8.0 if streamed[i] > 30 else 0.0)
         for i, a in enumerate(world.accounts)]
    )  # fmt: skip
    honest = int(np.count_nonzero(weight))
    n = round(honest * world.config.verdicts.reviewed_good_share)
    for number in rng.choice(len(world.accounts), n, replace=False, p=weight / weight.sum()):
        account = world.accounts[int(number)]
        known_s = account.signup_s + int(rng.uniform(0.5, 20.0) * DAY_S)
        if known_s < world.end_s:
            world.verdicts.append(Verdict(int(number), good=True, known_s=known_s, reason="reviewed"))


def _mistakes(world: World, rng: np.random.Generator) -> None:
    config = world.config.verdicts
    judged = {verdict.account for verdict in world.verdicts}
    honest = [i for i, a in enumerate(world.accounts) if not a.ring and i not in judged]
    unseen = {plan.name for plan in world.config.attacks if plan.found == 0.0}  # nobody looks at these at all
    open_rings = [ring for ring in world.rings if ring.plan not in unseen]
    bad = [i for ring in open_rings for i in ring.accounts if i not in judged]
    for k, number in enumerate(rng.choice(honest, min(config.wrong_bad, len(honest)), replace=False)):
        known_s = world.accounts[int(number)].signup_s + int(rng.uniform(1.0, 12.0) * DAY_S)
        if k % 3 == 0:  # the player appeals and is let back in
            appeal_s = known_s + int(rng.uniform(1.0, 6.0) * DAY_S)
            if appeal_s < world.end_s:
                world.verdicts.append(Verdict(int(number), False, known_s, "multiple_accounts"))
                world.verdicts.append(Verdict(int(number), True, appeal_s, "appeal_upheld"))
                continue
        world.ban(int(number), known_s, "multiple_accounts")
    for number in rng.choice(bad, min(config.wrong_good, len(bad)), replace=False) if bad else []:
        known_s = world.accounts[int(number)].signup_s + int(rng.uniform(0.5, 8.0) * DAY_S)
        if known_s < world.end_s:
            world.verdicts.append(Verdict(int(number), True, known_s, "reviewed"))
