"""Reads a ring's sentences back and holds every number and name against the evidence that they cite."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rings.wording import noun, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Evidence = Mapping[str, Any]
    Found = Mapping[str, str | None]

_WORDS: Final = {"no": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "none": 0}
_SIGN_UPS: Final = {"signup", "sign_up", "sign-up", "registration", "register", "registered"}
N = r"\d[\d,]*"
WHO = rf"(?P<who>all|{N} of them|{N})"
SPAN = rf"(?P<amount>{N}) (?P<unit>seconds?|minutes?|hours?|days?)"
THINGS = (
    rf"(?P<things>one|{N}) (?P<kind>.+?) that (?P<others>nobody else|{N} other accounts?) used(?P<too> too)?"
)
WITHIN = rf"(?:within {SPAN}|(?P<same_time>at the same time))"
APPEARED = r"(?P<appeared>signed up|first seen)"


class Wrong(AssertionError):
    """A sentence says something that its evidence does not."""


def value(text: str) -> int:
    """A number of a sentence, in digits or as a word."""
    return _WORDS[text] if text in _WORDS else int(text.replace(",", ""))


def same(name: str, said: object, meant: object) -> None:
    """Hold what a sentence says against what its evidence holds."""
    if said != meant:
        message = f"{name}: said {said!r}, the evidence has {meant!r}"
        raise Wrong(message)


def _who(found: Found, piece: Evidence) -> None:
    said = str(found["who"])
    if said == "all":
        same("who", piece["accounts"], piece["of"])
    else:
        same("who", value(said.removesuffix(" of them")), piece["accounts"])


def _kind(said: str, count: int, kind: str) -> None:
    same("kind", said, noun(kind) if count == 1 else plural(noun(kind)))


def _span(found: Found, piece: Evidence) -> None:
    same("at the same time", found["same_time"] is not None, piece["span_ms"] == 0)
    if found["same_time"] is not None:
        same("between", piece["from_ms"], piece["to_ms"])
        return
    same("span", [value(str(found["amount"])), found["unit"]], list(piece["span"]))
    unit_s = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}[str(found["unit"]).removesuffix("s")]
    within_ms = value(str(found["amount"])) * unit_s * 1000
    if not within_ms - unit_s * 1000 < max(1, piece["span_ms"]) <= within_ms:
        message = f"{found['amount']} {found['unit']} for {piece['span_ms']} ms"
        raise Wrong(message)
    same("between", piece["span_ms"], piece["to_ms"] - piece["from_ms"])


def _appeared(found: Found, burst: Evidence) -> None:
    same("appeared", found["appeared"] == "signed up", burst["event"].lower() in _SIGN_UPS)
    _span(found, burst)


def _things(found: Found, piece: Evidence) -> None:
    count = value(str(found["things"]))
    same("things", count, piece["n_entities"])
    _kind(str(found["kind"]), count, piece["kind"])
    others = 0 if found["others"] == "nobody else" else value(str(found["others"]).split(" ")[0])
    same("others", others, piece["others"])
    same("too", bool(found["too"]), others > 0)


def _subject(found: Found, by_type: Mapping[str, Evidence]) -> None:
    group = by_type["group"]
    same("accounts", value(str(found["accounts"])), group["accounts"])
    if found["things"] is not None:
        piece = by_type["identifiers"]
        same("all of them", piece["accounts"], group["accounts"])
        _things(found, piece)
    if found["appeared"] is not None:
        same("all appeared", by_type["burst"]["accounts"], group["accounts"])
        _appeared(found, by_type["burst"])


def _identifiers(found: Found, by_type: Mapping[str, Evidence]) -> None:
    _who(found, by_type["identifiers"])
    _things(found, by_type["identifiers"])


def _counterpart(found: Found, by_type: Mapping[str, Evidence]) -> None:
    piece = by_type["counterpart"]
    _who(found, piece)
    same("name", found["name"], f"{noun(piece['kind'])} {piece['shown']}")
    same("member", bool(found["member"]), piece["member"])
    most = piece["ways"][0]
    names = {noun(way["relation"]) for way in piece["ways"] if way["way"] == most["way"]}
    said = str(found["what"] or found["mixed"])
    if not set(re.split(", | and ", said)) <= {part for name in names for part in re.split(", | and ", name)}:
        message = f"relation {said!r} not among {names}"
        raise Wrong(message)
    verb = {"received": "received", "sent": "sent", "shared": "share"}[most["way"]]
    same("verb", found["verb"] or verb, verb)
    same("every one that way", found["mixed"] is None, most["accounts"] == piece["accounts"])
    if found["users"] is not None:
        same("users", value(str(found["users"])), piece["users"])
    elif found["nobody"] is not None:
        same("nobody else", piece["users"], piece["accounts"])


def _strongest(found: Found, by_type: Mapping[str, Evidence]) -> None:
    piece = by_type["strongest"]
    same("name", found["name"], f"{noun(piece['kind'])} {piece['shown']}")
    same("users", value(str(found["users"])), piece["users"])
    same("platform", value(str(found["platform"])), piece["platform"])
    here = piece["users"] if found["here"] == "all" else value(str(found["here"]))
    same("here", here, piece["accounts"])
    _expected(str(found["chance"]), piece["by_chance"])


def _expected(said: str, meant: float) -> None:
    same("by chance", said, "less than 0.1" if meant < 0.1 else f"{meant:,.1f}")


def _burst(found: Found, by_type: Mapping[str, Evidence]) -> None:
    _who(found, by_type["burst"])
    _appeared(found, by_type["burst"])


def _coincidence(found: Found, by_type: Mapping[str, Evidence]) -> None:
    same("drawn", value(str(found["drawn"])), by_type["burst"]["of"])
    _expected(str(found["chance"]), by_type["burst"]["by_chance"])


def _arrivals(found: Found, by_type: Mapping[str, Evidence]) -> None:
    piece = by_type["arrivals"]
    who = piece["of"] if found["some"] == "they" else value(str(found["some"]).removesuffix(" of them"))
    same("who", who, piece["accounts"])
    _span(found, piece)


def _unknown_times(found: Found, by_type: Mapping[str, Evidence]) -> None:
    same("timed", by_type["arrivals"]["accounts"], 0 if found["one"] is None else 1)


def _interactions(found: Found, by_type: Mapping[str, Evidence]) -> None:
    piece = by_type["interactions"]
    _who(found, piece)
    same("relation", found["relation"], noun(piece["relation"]))
    same("pairs", value(str(found["pairs"])), piece["pairs"])


def _known_bad(found: Found, by_type: Mapping[str, Evidence]) -> None:
    piece = by_type["known_bad"]
    same("bad", value(str(found["bad"])), piece["accounts"])
    same("all", found["every"] is not None, piece["accounts"] == piece["of"])


def _nearest_bad(found: Found, by_type: Mapping[str, Evidence]) -> None:
    piece = by_type["nearest_bad"]
    between = Counter(noun(node["kind"]) for node in piece["path"][1:-1])
    same("steps", piece["steps"], len(piece["path"]) - 1)
    if found["directly"] is not None:
        same("directly", piece["steps"], 1)
    elif found["through_one"] is not None:
        same("through", Counter([found["through_one"]]), between)
    else:
        same("steps", value(str(found["steps"])), piece["steps"])
        said: Counter[str] = Counter()
        for part in re.split(", | and ", str(found["through"])):
            count, _, kind = part.partition(" ")
            number = 1 if count in ("a", "an") else value(count)
            said[next(name for name in between if kind in (name, plural(name)))] += number
        same("through", said, between)


def _no_bad(found: Found, by_type: Mapping[str, Evidence]) -> None:
    piece = by_type["no_bad_near"]
    if found["none_known"] is not None:
        same("known", piece["known"], 0)
    else:
        same("steps", value(str(found["steps"])), piece["steps"])


def _synchrony(found: Found, by_type: Mapping[str, Evidence]) -> None:
    _who(found, by_type["synchrony"])
    same("pairs", value(str(found["pairs"])), by_type["synchrony"]["pairs"])


def _chance(found: Found, by_type: Mapping[str, Evidence]) -> None:
    piece = by_type["chance"]
    if found["many"] is None:
        same("not significant", piece["q_value"] >= 0.05, True)
        return
    same("significant", piece["q_value"] < 0.05, True)
    same("odds", [value(str(found["group"])), value(str(found["many"]))], list(piece["odds"]))
    same("fewer", found["fewer"] is not None, piece["odds"][1] >= 1_000_000)


_STORIES: Final = {
    "household": r"a household of (?P<size>{n}) on (?P<a>a )?shared (?P<kind>.+)",
    "office_or_campus": r"an office or campus of (?P<size>{n}) on (?P<a>a )?shared (?P<kind>.+)",
    "same_account": r"(?P<size>{n}) people who deal with the same account",
    "same_counterpart": r"(?P<size>{n}) customers of the same (?P<kind>.+?)",
    "same_time": r"(?P<size>{n}) strangers who came at the same time",
    "acquaintances": r"(?P<size>{n}) people who know each other",
    "chance": r"(?P<size>{n}) strangers whom nothing but chance joins",
}
_CLAIMS: Final = {
    "different": "behave differently",
    "apart": rf"appeared over {SPAN}",
    "alike": "behave alike",
    "together": "came close together",
    "known_bad": rf"count (?P<bad>{N}) confirmed bad",
}


def _honest(found: Found, by_type: Mapping[str, Evidence]) -> None:
    piece = by_type["honest"]
    story = re.fullmatch(_STORIES[piece["story"]].format(n=N), str(found["story"]))
    if story is None:
        message = f"story {found['story']!r} is not {piece['story']}"
        raise Wrong(message)
    same("size", value(story["size"]), piece["accounts"])
    if "kind" in story.groupdict():
        several = "a" in story.groupdict() and story["a"] is None
        same("kind", story["kind"], plural(noun(piece["kind"])) if several else noun(piece["kind"]))
        same("one for all", several, "a" in story.groupdict() and not piece["one_for_all"])
    for codes, said in ((piece["for"], found["speaks_for"]), (piece["against"], found["against"])):
        claims = [] if said is None else re.split(", | and ", str(said))
        same("claims", len(claims), len(codes))
        for code, claim in zip(codes, claims, strict=True):
            match = re.fullmatch(_CLAIMS[code], claim)
            if match is None:
                message = f"claim {claim!r} is not {code}"
                raise Wrong(message)
            if code == "apart":
                same("span", [value(match["amount"]), match["unit"]], list(piece["span"]))
            if code == "known_bad":
                same("bad", value(match["bad"]), piece["known_bad"])
    same("odds", [value(str(found["one"])), value(str(found["other"]))], list(piece["odds"]))
    same("benign", piece["explained_benign"], piece["probability"] >= 0.8)
    if piece["odds"][0] != piece["odds"][1]:
        same("favours", piece["odds"][0] > piece["odds"][1], piece["probability"] >= 0.5)


def _minimal(found: Found, by_type: Mapping[str, Evidence]) -> None:
    piece = by_type["minimal"]
    if found["nothing"] is not None:
        same("things", piece["things"], [])
        return
    said = str(found["without"])
    meant = []
    for thing in piece["things"][:3]:
        if thing["what"] == "in_step":
            meant.append("their appearing side by side")
        else:
            name = f"{noun(thing['kind'])} {thing['shown']}"
            meant.append(f"what they did with {name}" if thing["what"] == "dealings" else name)
    for name in meant:
        if name not in said:
            message = f"{name!r} is not in {said!r}"
            raise Wrong(message)
        said = said.replace(name, "", 1)
    more = re.fullmatch(rf"(?:,| and | )*(?:(?P<more>{N}) more)?", said)
    if more is None:
        message = f"unknown thing in {found['without']!r}: {said!r} is left"
        raise Wrong(message)
    same("more", value(more["more"]) if more["more"] else 0, piece["n_things"] - len(meant))
    same("left", 1 if found["left"] == "none" else value(str(found["left"])), max(1, piece["left"]))
    same("of", value(str(found["of"])), piece["of"])
    same("dissolves", found["even"] is None, piece["dissolves"])
    if piece["dissolves"]:
        same("dissolved", 2 * piece["left"] < piece["of"] or piece["left"] < 3, True)


_NEW_KINDS: Final = {
    "identifiers": "a shared {} is new",
    "interactions": "dealings ({}) are new",
    "counterpart": "having one {} in common is new",
    "burst": "having come together is new",
    "synchrony": "behaving alike is new",
}


def _confirmed(found: Found, by_type: Mapping[str, Evidence]) -> None:
    piece = by_type["confirmed"]
    same("source", found["source"], piece["source"])
    day = datetime.fromtimestamp(piece["confirmed_ms"] / 1000, UTC).strftime("%Y-%m-%d")
    same("day", found["day"], day)
    same("of", value(str(found["of"])), piece["of"])
    same("changed", found["changes"] is not None, piece["status"] == "benign_changed")
    if found["changes"] is None:
        same("came", 0 if found["came"] is None else value(found["came"]), piece["new_accounts"])
        return
    meant = []
    if piece["grown"]:
        meant.append(f"{piece['new_accounts']:,} account{'s' if piece['new_accounts'] > 1 else ''} came")
    if piece["new_bad"]:
        meant.append(f"{piece['new_bad']:,} more confirmed bad")
    for kind in piece["new_evidence"]:
        what, _, name = kind.partition(":")
        meant.append(_NEW_KINDS[what].format(noun(name)))
    same("changes", re.split(", | and ", str(found["changes"])), meant)


_STRONGEST: Final = (
    rf"(?P<name>.+) ties most: (?P<users>{N}) of (?P<platform>{N}) accounts touch it, (?P<here>all|{N}) of"
    r" them here where coincidence would bring (?P<chance>.+)"
)
_COUNTERPART: Final = (
    rf"{WHO} (?:(?P<verb>received|sent|share) (?P<what>.+?) (?:from|to|with)|dealt \((?P<mixed>.+?), among"
    r" others\) with) (?P<name>.+?)(?P<member>, a member)?"
    rf"(?:, which touches (?:(?P<users>{N}) accounts? in all|(?P<nobody>nobody else)))?"
)
# The piece of evidence that a sentence leads with tells which form it must have.
FORMS: Final[dict[str, list[tuple[str, Callable[[Found, Mapping[str, Evidence]], None]]]]] = {
    "identifiers": [(rf"{WHO} on {THINGS}", _identifiers)],
    "counterpart": [(_COUNTERPART, _counterpart)],
    "strongest": [(_STRONGEST, _strongest)],
    "confirmed": [
        (
            rf"called benign \((?P<source>[a-z]+), (?P<day>[\d-]+)\) as a group of (?P<of>{N})"
            rf"(?: and unchanged since|, since then (?P<came>{N}) accounts? came"
            r"|, changed since: (?P<changes>.+))",
            _confirmed,
        )
    ],
    "burst": [
        (rf"{WHO} {APPEARED} {WITHIN}", _burst),
        (
            rf"nothing is shared: of (?P<drawn>{N}) accounts drawn at random (?P<chance>.+) would have come"
            " in that time",
            _coincidence,
        ),
    ],
    "arrivals": [
        (rf"(?P<some>they|{N} of them) appeared (?:over {SPAN}|(?P<same_time>at the same time))", _arrivals),
        ("when they appeared is (?:not known|(?P<one>known of one only))", _unknown_times),
    ],
    "interactions": [
        (rf"{WHO} dealt with another member \((?P<relation>.+), (?P<pairs>{N}) pairs?\)", _interactions)
    ],
    "known_bad": [
        (rf"(?P<every>all )?(?P<bad>{N}|[a-z]+)(?: of them)? (?:is|are) confirmed bad", _known_bad)
    ],
    "nearest_bad": [
        (
            r"(?P<directly>a confirmed bad account dealt with one of them directly)"
            r"|the nearest confirmed bad account is (?:one (?P<through_one>.+) away"
            rf"|(?P<steps>{N}|[a-z]+) steps away, through (?P<through>.+))",
            _nearest_bad,
        )
    ],
    "no_bad_near": [
        (
            rf"(?P<none_known>no account at all is confirmed bad)|no confirmed bad account within"
            rf" (?P<steps>{N}|[a-z]+) steps",
            _no_bad,
        )
    ],
    "synchrony": [(rf"{WHO} appeared side by side and behave alike \((?P<pairs>{N}) pairs?\)", _synchrony)],
    "chance": [
        (
            r"it stands out no more than groups that chance makes|chance makes (?P<fewer>fewer than )?"
            rf"(?P<group>{N}|[a-z]+) group in (?P<many>{N}) that stands out as much",
            _chance,
        )
    ],
    "honest": [
        (
            r"best honest explanation: (?P<story>.+?)(?:, for it: they (?P<speaks_for>.+?))?"
            r"(?:, against it: they (?P<against>.+?))?"
            rf" \((?:over )?(?P<one>{N}) to (?:over )?(?P<other>{N})\)",
            _honest,
        )
    ],
    "minimal": [
        (
            r"(?P<nothing>nothing that could be taken away holds them together)|(?P<even>even )?without"
            rf" (?P<without>.+?) (?:at most )?(?P<left>none|{N}) of (?:the )?(?P<of>{N}) hang together",
            _minimal,
        )
    ],
}
_SUBJECT: Final = rf"(?P<accounts>{N}) accounts?(?: on {THINGS})?(?:(?:, all|,) {APPEARED} {WITHIN})?"


def check_sentence(text: str, cited: Sequence[Evidence]) -> None:
    """Read a sentence back.

    Args:
        text: The sentence.
        cited: The pieces of evidence that it carries, in its order.

    Raises:
        Wrong: If it has no known form, or says a number or a name that its evidence does not hold.
    """
    if not cited:
        message = f"no evidence: {text!r}"
        raise Wrong(message)
    by_type = {str(piece["type"]): piece for piece in reversed(cited)}
    forms = [(_SUBJECT, _subject)] if "group" in by_type else FORMS[str(cited[0]["type"])]
    for pattern, check in forms:
        found = re.fullmatch(pattern, text)
        if found is not None:
            check(_Groups(found.groupdict()), by_type)
            return
    message = f"no known form: {text!r} ({', '.join(by_type)})"
    raise Wrong(message)


class _Groups(dict[str, str | None]):
    """Groups of a match; those that the form does not have are None."""

    def __missing__(self, name: str) -> None:
        return None


def check_ring(explained: Mapping[str, Any]) -> int:
    """Read every sentence of a ring back, and its words.

    Args:
        explained: As `rings.RingsRun.explain` gives it.

    Returns:
        Number of sentences.

    Raises:
        Wrong: If one of them says what its evidence does not hold.
    """
    by_id = {piece["id"]: piece for piece in explained["evidence"]}
    sentences = explained["sentences"]
    for sentence in sentences:
        check_sentence(sentence["text"], [by_id[name] for name in sentence["evidence"]])
    texts = [sentence["text"] for sentence in sentences]
    left = str(explained["words"])
    for text in texts:
        if left == text or left.startswith(f"{text}; "):
            left = left[len(text) + 2 :]
    same("words", left, "")
    for entry in explained["left_out"]:
        check_left_out(entry, explained["ring"])
    return len(sentences)


_LINKED: Final = rf"is linked with (?P<links>{N}) of (?P<of>{N}) members?"
_MEAN: Final = rf"{_LINKED}, by (?P<mean>[\d.]+) on average over all"
LEFT_OUT: Final = {
    "cut_by_person": rf"was called not linked with (?P<cut>{N}) members? by a person",
    "is_hub": rf"{_LINKED} and is a hub: too many deal with it",
    "other_ring": r"is in ring (?P<ring>\S+): linked by (?P<other_mean>[\d.]+) on average over all there, by"
    r" (?P<mean>[\d.]+) here",
    "behaves_differently": r"shares (?P<via>.+) and behaves differently: likeness (?P<alike>[\d.]+) to"
    r" members, (?P<members_alike>[\d.]+) among them",
    "apart_in_time": r"shares (?P<via>.+), too common or too far apart in time for a link",
    "unlikely_pair": r"shares (?P<via>.+), but what is known of such pairs speaks against acting together",
    "weak_links": rf"{_LINKED}, by (?P<strength>[\d.]+) at most; what holds a ring weighs (?P<least>[\d.]+)",
    "few_links": rf"{_MEAN}; a member needs (?P<least>[\d.]+)",
    "too_few": rf"{_LINKED}; its links weigh (?P<tie>[\d.]+) here and (?P<other_tie>[\d.]+) with accounts in"
    " no ring",
    "loose": rf"{_MEAN}; a ring asks for (?P<least>[\d.]+)",
    "not_joined": rf"{_MEAN}; the grouping put it in no ring",
    "only_hub": rf"shares (?P<via>.+), a hub that (?P<users>{N}) accounts? touch",
}


def check_left_out(entry: Mapping[str, Any], ring: str) -> None:
    """Read the reason for which an account was left out back.

    Args:
        entry: As `rings.left_out.named_rings` gives it.
        ring: The ring that it was left out of.

    Raises:
        Wrong: If it says what its facts do not hold.
    """
    found = re.fullmatch(
        rf"account (?P<account_id>.+?) {LEFT_OUT[entry['code']]}", str(entry["words"]), re.DOTALL
    )
    if found is None:
        message = f"no known form of {entry['code']}: {entry['words']!r}"
        raise Wrong(message)
    for name, said in found.groupdict().items():
        if name == "via":
            same(name, said, f"{noun(entry['via']['kind'])} {entry['via']['shown']}")
        elif isinstance(entry[name], float):
            digits = len(said.partition(".")[2])
            same(name, said, f"{entry[name]:.{digits}f}")
        elif isinstance(entry[name], int):
            same(name, value(said), entry[name])
        else:
            same(name, said, entry[name])
    if entry["code"] == "other_ring" and entry["ring"] == ring:
        message = f"{entry['account_id']} was left out of its own ring"
        raise Wrong(message)
