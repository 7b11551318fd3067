"""Says in one line what a piece of a ring's evidence holds, for people who read it beside the sentences."""

from collections.abc import Callable, Mapping
from typing import Any, Final

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
    return name.replace("_", " ")


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
    return (
        f"{_share(piece)} first appeared ({_spoken(piece['event'])}) within {amount} {unit}; "
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
}
