"""Says in one line what a piece of a ring's evidence holds, for people who read it beside the sentences."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from rings.wording import noun
from scoring_service.risk.reading import iso

Piece = Mapping[str, Any]
MOST_NAMED: Final = 5


def evidence_text(piece: Piece) -> str:
    """Describe a piece of evidence.

    Args:
        piece: As `rings.RingsRun.evidence` gives it.

    Returns:
        One line; for a type that this version does not know, its name and its plain values.
    """
    tell = _TELL.get(str(piece["type"]))
    if tell is not None:
        return tell(piece)
    facts = [
        f"{name} {value}"
        for name, value in piece.items()
        if name not in {"id", "type", "weight"} and isinstance(value, (str, int, float))
    ]
    return f"{_spoken(str(piece['type']))}: {', '.join(facts)}"


def _spoken(name: str) -> str:
    return noun(name)


def _share(piece: Piece) -> str:
    return f"{piece['accounts']:,} of {piece['of']:,} accounts"


def _some(names: list[str], total: int) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return shown if total <= MOST_NAMED else f"{shown} and {total - MOST_NAMED:,} more"


def _identifiers(piece: Piece) -> str:
    kind = _spoken(piece["kind"])
    others = "1 other account" if piece["others"] == 1 else f"{piece['others']:,} other accounts"
    rest = "nobody else used any of these" if piece["others"] == 0 else f"{others} used them too"
    nodes = [f"{entity['shown']} ({entity['users']:,} accounts)" for entity in piece["entities"]]
    return f"{_share(piece)} used {kind} {_some(nodes, piece['n_entities'])}; {rest}"


def _counterpart(piece: Piece) -> str:
    ways = ", ".join(f"{way['way']} {_spoken(way['relation'])}: {way['accounts']:,}" for way in piece["ways"])
    member = ", a member" if piece["member"] else ""
    return (
        f"{_share(piece)} dealt with {_spoken(piece['kind'])} {piece['shown']}{member} ({ways}); "
        f"{piece['users']:,} accounts did in all"
    )


def _burst(piece: Piece) -> str:
    amount, unit = piece["span"]
    when = f"within {amount} {unit}" if piece["span_ms"] else "at the same time"
    return (
        f"{_share(piece)} first appeared ({_spoken(piece['event'])}) {when}; "
        f"{piece['platform_accounts']:,} on the whole platform did then"
    )


def _interactions(piece: Piece) -> str:
    return (
        f"{_share(piece)} dealt with another member: {_spoken(piece['relation'])}, {piece['pairs']:,} pairs"
    )


def _known_bad(piece: Piece) -> str:
    return f"{_share(piece)} are confirmed bad: {_some(list(piece['account_ids']), piece['accounts'])}"


def _nearest_bad(piece: Piece) -> str:
    way = " – ".join(f"{_spoken(node['kind'])} {node['shown']}" for node in piece["path"])
    return f"{piece['steps']} steps to the nearest confirmed bad account: {way}"


def _group(piece: Piece) -> str:
    return (
        f"{piece['links']:,} links among {piece['accounts']:,} accounts; mean weight {piece['density']:.2f}"
    )


def _synchrony(piece: Piece) -> str:
    alone = piece["pairs_without_anything_shared"]
    tail = f", {alone:,} of them without anything shared" if alone else ""
    return f"{_share(piece)} appeared side by side and behave alike: {piece['pairs']:,} pairs{tail}"


def _chance(piece: Piece) -> str:
    return f"p-value {piece['p_value']:.2g}, corrected for the number of rings {piece['q_value']:.2g}"


def _strongest(piece: Piece) -> str:
    return (
        f"{_spoken(piece['kind'])} {piece['shown']}: touched by {piece['users']:,} of "
        f"{piece['platform']:,} accounts, "
        f"{_share(piece)} of the ring; {piece['by_chance']:.2g} would by chance; "
        f"{100 * piece['as_common']:.2g} % of its kind are touched by as many"
    )


def _arrivals(piece: Piece) -> str:
    if not piece["accounts"]:
        return "nobody knows when they first appeared"
    amount, unit = piece["span"]
    return f"{_share(piece)} have a first appearance; the last {amount} {unit} after the first"


def _no_bad_near(piece: Piece) -> str:
    return f"of {piece['known']:,} confirmed bad accounts none is within {piece['steps']} steps"


def _honest(piece: Piece) -> str:
    odds = ", ".join(f"{_spoken(name)} {value:+.1f}" for name, value in piece["log_odds"].items())
    return (
        f"probability {piece['probability']:.2g} that {_spoken(piece['story'])} explains it; "
        f"pairs behave more alike than {100 * piece['alike']:.0f} % of random ones; log odds: {odds}"
    )


def _confirmed(piece: Piece) -> str:
    changed = "changed since" if piece["status"] == "benign_changed" else "not changed since"
    kinds = ", ".join(piece["new_evidence"])
    return (
        f"called benign by {piece['source']} on {iso(piece['confirmed_ms'])} as a group of {piece['of']:,}, "
        f"{changed}: {piece['new_accounts']:,} of {piece['accounts']:,} accounts are new, "
        f"{piece['new_bad']:,} newly confirmed bad{f'; new kinds of evidence: {kinds}' if kinds else ''}"
    )


def _minimal(piece: Piece) -> str:
    things = [
        f"{'appearing side by side' if thing['what'] == 'in_step' else _named(thing)} "
        f"({thing['accounts']:,} accounts, {100 * thing['carries']:.0f} % of the weight)"
        for thing in piece["things"]
    ]
    if not things:
        return "no set of things that could be taken away dissolves it"
    verdict = "dissolve it" if piece["dissolves"] else "do not dissolve it"
    return (
        f"without {', '.join(things)}: {piece['left']:,} of {piece['of']:,} accounts hang together at most; "
        f"gone is {100 * piece['carries']:.0f} % of the weight of its links; they {verdict}"
    )


def _named(thing: Piece) -> str:
    return f"{'dealings of ' if thing['what'] == 'dealings' else ''}{_spoken(thing['kind'])} {thing['shown']}"


_TELL: Final[dict[str, Callable[[Piece], str]]] = {
    "identifiers": _identifiers,
    "counterpart": _counterpart,
    "burst": _burst,
    "interactions": _interactions,
    "known_bad": _known_bad,
    "nearest_bad": _nearest_bad,
    "group": _group,
    "synchrony": _synchrony,
    "chance": _chance,
    "strongest": _strongest,
    "arrivals": _arrivals,
    "no_bad_near": _no_bad_near,
    "honest": _honest,
    "minimal": _minimal,
    "confirmed": _confirmed,
}
