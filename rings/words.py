"""Plain words for a ring, made from its evidence alone: no claim without a piece of evidence behind it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rings.benign import CONFIRMED
from rings.significance import SIGNIFICANT
from rings.wording import article, counted, listed, noun, number, plural, small

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rings.evidence import Evidence

_SIGN_UPS = frozenset({"signup", "sign_up", "sign-up", "registration", "register", "registered"})


@dataclass(frozen=True, slots=True)
class Sentence:
    """A claim.

    Attributes:
        text: In plain words, without a full stop.
        evidence: Ids of the pieces of evidence that it was made from; never empty.
    """

    text: str
    evidence: tuple[str, ...]


def sentences(pieces: Sequence[Evidence], account_kind: str = "account") -> list[Sentence]:
    """Say what the evidence of a ring shows.

    Args:
        pieces: The evidence, the most telling first.
        account_kind: What accounts are called.

    Returns:
        The sentences; the first names the ring and what holds it together.
    """
    by_type: dict[str, list[Evidence]] = {}
    for piece in pieces:
        by_type.setdefault(piece["type"], []).append(piece)
    group = by_type["group"][0]
    burst = by_type.get("burst", [None])[0]
    said: list[Sentence] = []
    shared = _telling([piece for piece in pieces if piece["type"] in ("identifiers", "counterpart")])
    first = shared[0] if shared else None
    subject = counted(group["accounts"], account_kind)
    if first is not None and _holds_all(first):
        text, proofs = f"{subject} on {_things(first)}", [first["id"], group["id"]]
        if burst is not None and burst["accounts"] == group["accounts"]:
            text += f"{',' if not first['others'] else ', all'} {_appeared(burst)} {_within(burst)}"
            proofs.insert(1, burst["id"])
            burst = None
        said.append(Sentence(text, tuple(proofs)))
        shared = shared[1:]
    elif first is None and burst is not None and burst["accounts"] == group["accounts"]:
        said.append(
            Sentence(f"{subject}, all {_appeared(burst)} {_within(burst)}", (burst["id"], group["id"]))
        )
        burst = None
    else:
        said.append(Sentence(subject, (group["id"],)))
    # What only some share adds nothing to what nearly all do.
    shared = [piece for piece in shared if piece is first or 2 * piece["accounts"] >= piece["of"]][:2]
    said += [_shared(piece, first_of=piece is first) for piece in shared]
    if "confirmed" in by_type:
        said.append(_confirmed(by_type["confirmed"][0]))
    if "strongest" in by_type:
        said.append(_strongest(by_type["strongest"][0]))
    if burst is not None:
        who = "all" if burst["accounts"] == burst["of"] else f"{number(burst['accounts'])} of them"
        said.append(Sentence(f"{who} {_appeared(burst)} {_within(burst)}", (burst["id"],)))
    if "burst" not in by_type and "arrivals" in by_type:
        said.append(_arrivals(by_type["arrivals"][0]))
    elif "strongest" not in by_type and "burst" in by_type:
        said.append(_coincidence(by_type["burst"][0]))
    told = max((piece["accounts"] for piece in shared if piece.get("member")), default=0)
    said += [
        _interactions(piece)
        for piece in by_type.get("interactions", [])[:1]
        if piece["accounts"] > told + 1  # else it is the same star, told of already
    ]
    for kind, say in _LATER.items():
        if kind in by_type:
            said.append(say(by_type[kind][0]))
    return said


def headline(said: Sequence[Sentence], pieces: Sequence[Evidence]) -> str:
    """The words of a ring in a list.

    Args:
        said: Its sentences.
        pieces: Its evidence.

    Returns:
        What holds the ring together and how rare that is, how much of it coincidence would give, when the
        ring appeared, how near it is to known bad accounts and what honest story would fit best.
    """
    by_id = {piece["id"]: piece for piece in pieces}
    shared = any(piece["type"] in ("identifiers", "counterpart") for piece in pieces)
    return "; ".join(one.text for one in said if not _second_rank(by_id[one.evidence[0]], shared))


def _second_rank(piece: Evidence, shared: bool) -> bool:
    """Whether a list can do without what a piece of evidence says."""
    if piece["type"] == "synchrony":
        return shared
    if piece["type"] == "chance":
        return bool(piece["q_value"] < SIGNIFICANT)
    return bool(piece["type"] == "minimal")


def _holds_all(piece: Evidence) -> bool:
    return bool(piece["type"] == "identifiers" and piece["accounts"] == piece["of"])


def _telling(shared: list[Evidence]) -> list[Evidence]:
    """What is shared, the most telling first: what holds all and nobody else used before what weighs more.

    What is derived from an identifier is left out where the identifiers themselves are shared.
    """
    plain = [piece for piece in shared if not piece.get("derived")]
    kept = [
        piece
        for piece in shared
        if not piece.get("derived") or all(2 * other["accounts"] < piece["accounts"] for other in plain)
    ]
    alone = [piece for piece in kept if _holds_all(piece) and not piece["others"]]
    # Few things for many accounts say more than many; else the kind that the spec names first.
    alone.sort(key=lambda piece: (piece["n_entities"] > max(1, piece["of"] // 3), piece["kind_order"]))
    return alone + [piece for piece in kept if piece not in alone]


def _things(piece: Evidence) -> str:
    """Identifiers that a ring is on, and who else is."""
    count = piece["n_entities"]
    things = f"one {noun(piece['kind'])}" if count == 1 else counted(count, piece["kind"])
    if not piece["others"]:
        return f"{things} that nobody else used"
    others = counted(piece["others"], "account").replace(" account", " other account")
    return f"{things} that {others} used too"


def _appeared(burst: Evidence) -> str:
    return "signed up" if burst["event"].lower() in _SIGN_UPS else "first seen"


def _span(burst: Evidence) -> str:
    amount, unit = burst["span"]
    return f"{number(amount)} {unit}"


def _within(burst: Evidence) -> str:
    return "at the same time" if burst["span_ms"] == 0 else f"within {_span(burst)}"


def _shared(piece: Evidence, *, first_of: bool) -> Sentence:
    who = "all" if piece["accounts"] == piece["of"] else number(piece["accounts"])
    if who != "all" and not first_of:
        who = f"{who} of them"
    if piece["type"] == "identifiers":
        return Sentence(f"{who} on {_things(piece)}", (piece["id"],))
    name = f"{noun(piece['kind'])} {piece['shown']}"
    if piece["member"]:
        name += ", a member"
    text = f"{who} {_how(piece)} {name}"
    if piece["users"] > piece["accounts"]:
        text += f", which touches {counted(piece['users'], 'account')} in all"
    else:
        text += ", which touches nobody else" if not piece["member"] else ""
    return Sentence(text, (piece["id"],))


def _how(piece: Evidence) -> str:
    """What accounts did with a counterpart: the way that most of them took."""
    most = piece["ways"][0]
    names = [
        way["relation"]
        for way in piece["ways"]
        if way["way"] == most["way"] and way["accounts"] == most["accounts"]
    ]
    what = noun(listed(sorted(names)))
    if most["accounts"] < piece["accounts"]:
        return f"dealt ({what}, among others) with"
    if most["way"] == "received":
        return f"received {what} from"
    if most["way"] == "sent":
        return f"sent {what} to"
    return f"share {what} with"


def _interactions(piece: Evidence) -> Sentence:
    who = "all" if piece["accounts"] == piece["of"] else f"{number(piece['accounts'])} of them"
    pairs = "1 pair" if piece["pairs"] == 1 else f"{number(piece['pairs'])} pairs"
    return Sentence(f"{who} dealt with another member ({noun(piece['relation'])}, {pairs})", (piece["id"],))


def _known_bad(piece: Evidence) -> Sentence:
    if piece["accounts"] == piece["of"]:
        return Sentence(f"all {number(piece['accounts'])} are confirmed bad", (piece["id"],))
    verb = "is" if piece["accounts"] == 1 else "are"
    return Sentence(f"{small(piece['accounts'])} of them {verb} confirmed bad", (piece["id"],))


def _nearest_bad(piece: Evidence) -> Sentence:
    between = [noun(node["kind"]) for node in piece["path"][1:-1]]
    if not between:
        text = "a confirmed bad account dealt with one of them directly"
    elif len(between) == 1:
        text = f"the nearest confirmed bad account is one {between[0]} away"
    else:
        often = Counter(between)
        through = listed(
            [article(word) if often[word] == 1 else counted(often[word], word) for word in often]
        )
        text = f"the nearest confirmed bad account is {small(piece['steps'])} steps away, through {through}"
    return Sentence(text, (piece["id"],))


def _synchrony(piece: Evidence) -> Sentence:
    who = "all" if piece["accounts"] == piece["of"] else f"{number(piece['accounts'])} of them"
    pairs = "1 pair" if piece["pairs"] == 1 else f"{number(piece['pairs'])} pairs"
    return Sentence(f"{who} appeared side by side and behave alike ({pairs})", (piece["id"],))


def _chance(piece: Evidence) -> Sentence:
    if piece["q_value"] >= SIGNIFICANT:
        return Sentence("it stands out no more than groups that chance makes", (piece["id"],))
    one, many = piece["odds"]
    fewer = "fewer than " if many >= 1_000_000 else ""
    return Sentence(
        f"chance makes {fewer}{small(one)} group in {number(many)} that stands out as much", (piece["id"],)
    )


def _expected(amount: float) -> str:
    return "less than 0.1" if amount < 0.1 else f"{amount:,.1f}"


def _strongest(piece: Evidence) -> Sentence:
    name = f"{noun(piece['kind'])} {piece['shown']}"
    here = "all of them" if piece["users"] == piece["accounts"] else f"{number(piece['accounts'])} of them"
    users, platform = number(piece["users"]), number(piece["platform"])
    text = (
        f"{name} ties most: {users} of {platform} accounts touch it, {here} here"
        f" where coincidence would bring {_expected(piece['by_chance'])}"
    )
    return Sentence(text, (piece["id"],))


def _coincidence(burst: Evidence) -> Sentence:
    drawn, chance = number(burst["of"]), _expected(burst["by_chance"])
    text = f"nothing is shared: of {drawn} accounts drawn at random {chance} would have come in that time"
    return Sentence(text, (burst["id"],))


def _arrivals(piece: Evidence) -> Sentence:
    if not piece["accounts"]:
        return Sentence("when they appeared is not known", (piece["id"],))
    if piece["accounts"] == 1:
        return Sentence("when they appeared is known of one only", (piece["id"],))
    who = "they" if piece["accounts"] == piece["of"] else f"{number(piece['accounts'])} of them"
    if piece["span_ms"] == 0:
        return Sentence(f"{who} appeared at the same time", (piece["id"],))
    return Sentence(f"{who} appeared over {_span(piece)}", (piece["id"],))


def _no_bad_near(piece: Evidence) -> Sentence:
    if not piece["known"]:
        return Sentence("no account at all is confirmed bad", (piece["id"],))
    return Sentence(f"no confirmed bad account within {small(piece['steps'])} steps", (piece["id"],))


_MOST_ODDS = 1_000_000


def _honest(piece: Evidence) -> Sentence:
    size = number(piece["accounts"])
    story = {
        "household": "a household of {size} on {shared}",
        "office_or_campus": "an office or campus of {size} on {shared}",
        "same_account": "{size} people who deal with the same account",
        "same_counterpart": "{size} customers of the same {plain}",
        "same_time": "{size} strangers who came at the same time",
        "acquaintances": "{size} people who know each other",
        "chance": "{size} strangers whom nothing but chance joins",
    }[piece["story"]]
    kind = "" if piece["kind"] is None else noun(piece["kind"])
    shared = f"a shared {kind}" if piece["one_for_all"] else f"shared {plural(kind)}"
    text = "best honest explanation: " + story.format(size=size, shared=shared, plain=kind)
    for word, codes in (("for it", piece["for"]), ("against it", piece["against"])):
        if codes:
            text += f", {word}: they {listed([_says(piece, code) for code in codes])}"
    one, other = (f"{'over ' if odds >= _MOST_ODDS else ''}{number(odds)}" for odds in piece["odds"])
    return Sentence(f"{text} ({one} to {other})", (piece["id"],))


def _says(piece: Evidence, code: str) -> str:
    if code == "apart":
        return f"appeared over {_span(piece)}"
    if code == "known_bad":
        return f"count {number(piece['known_bad'])} confirmed bad"
    return {"different": "behave differently", "alike": "behave alike", "together": "came close together"}[
        code
    ]


# Things that the sentence on the smallest set names one by one.
_NAMED_THINGS = 3


def _minimal(piece: Evidence) -> Sentence:
    if not piece["things"]:
        return Sentence("nothing that could be taken away holds them together", (piece["id"],))
    named = [_thing(thing) for thing in piece["things"][:_NAMED_THINGS]]
    more = piece["n_things"] - len(named)
    if more:
        named.append(f"{number(more)} more")
    without = f"without {listed(named)}"
    left, size = number(piece["left"]), number(piece["of"])
    if not piece["dissolves"]:
        return Sentence(f"even {without} {left} of {size} hang together", (piece["id"],))
    if piece["left"] < 2:
        return Sentence(f"{without} none of the {size} hang together", (piece["id"],))
    return Sentence(f"{without} at most {left} of the {size} hang together", (piece["id"],))


def _thing(thing: dict[str, Any]) -> str:
    if thing["what"] == "in_step":
        return "their appearing side by side"
    name = f"{noun(thing['kind'])} {thing['shown']}"
    return f"what they did with {name}" if thing["what"] == "dealings" else name


def _confirmed(piece: Evidence) -> Sentence:
    day = datetime.fromtimestamp(piece["confirmed_ms"] / 1000, UTC).date().isoformat()
    text = f"called benign ({piece['source']}, {day}) as a group of {number(piece['of'])}"
    came = f"{counted(piece['new_accounts'], 'account')} came"
    if piece["status"] == CONFIRMED:
        rest = f", since then {came}" if piece["new_accounts"] else " and unchanged since"
        return Sentence(text + rest, (piece["id"],))
    changes = [came] if piece["grown"] else []
    if piece["new_bad"]:
        changes.append(f"{number(piece['new_bad'])} more confirmed bad")
    changes += [_new_kind(kind) for kind in piece["new_evidence"]]
    return Sentence(f"{text}, changed since: {listed(changes)}", (piece["id"],))


def _new_kind(kind: str) -> str:
    what, _, name = kind.partition(":")
    return {
        "identifiers": f"a shared {noun(name)} is new",
        "interactions": f"dealings ({noun(name)}) are new",
        "counterpart": f"having one {noun(name)} in common is new",
        "burst": "having come together is new",
        "synchrony": "behaving alike is new",
    }[what]


_LATER: dict[str, Callable[[dict[str, Any]], Sentence]] = {
    "synchrony": _synchrony,
    "known_bad": _known_bad,
    "nearest_bad": _nearest_bad,
    "no_bad_near": _no_bad_near,
    "chance": _chance,
    "honest": _honest,
    "minimal": _minimal,
}

__all__ = ["Sentence", "headline", "sentences"]
