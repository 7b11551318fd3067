"""Every sentence of every ring is read back by a program and held against the evidence that it cites."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rings
from graph_etl import Snapshot, Workspace, build, load_spec
from rings.left_out import REASONS, left_out_words
from rings.words import headline, sentences
from tests.rings.checking import Wrong, check_left_out, check_ring, check_sentence

EXAMPLES = Path(__file__).parents[2] / "examples"


def check_all(snapshot: Snapshot) -> Counter[str]:
    """Check every ring of a snapshot; how many sentences of each type were read."""
    run = rings.find(snapshot)
    types: Counter[str] = Counter()
    for ring in run.table["ring"]:
        explained = run.explain(ring)
        check_ring(explained)
        by_id = {piece["id"]: piece for piece in explained["evidence"]}
        said = {by_id[name]["type"] for one in explained["sentences"] for name in one["evidence"]}
        assert said >= {"group", "honest", "chance", "minimal"}
        assert said & {"strongest", "burst", "chance"}  # how much coincidence would give
        assert said & {"burst", "arrivals"}
        assert said & {"known_bad", "nearest_bad", "no_bad_near"}
        types.update(said)
    return types


@pytest.mark.parametrize("which", ["timed_snapshot", "untimed_snapshot"])
def test_every_sentence_on_small_platforms(which: str, request: pytest.FixtureRequest) -> None:
    types = check_all(request.getfixturevalue(which))
    assert min(types[name] for name in ("strongest", "honest", "minimal", "known_bad")) >= 2


def test_every_sentence_on_the_simulated_game(tmp_path: Path) -> None:
    spec = load_spec(EXAMPLES / "game_signups" / "spec.yaml")
    workspace = Workspace(tmp_path)
    types = check_all(workspace.open_snapshot(build(spec, workspace).snapshot_id))
    assert set(types) >= {"identifiers", "counterpart", "burst", "arrivals", "interactions", "nearest_bad"}


def test_every_sentence_on_some_wallets_of_a_bridge(tmp_path: Path) -> None:
    data = EXAMPLES / "hop_sybil" / "data"
    (tmp_path / "some" / "data").mkdir(parents=True)
    accounts = pl.read_csv(data / "accounts.csv.gz", infer_schema=False)
    some = accounts.filter(pl.int_range(pl.len()) % 12 == 0)
    reported = accounts.filter(pl.col("report_group").is_not_null()).head(600)
    some = pl.concat([some, reported]).unique("account", maintain_order=True)
    transfers = pl.read_csv(data / "transfers.csv.gz", infer_schema=False)
    folds = pl.read_csv(data / "folds.csv.gz", infer_schema=False)
    for name, table in (
        ("accounts", some),
        ("transfers", transfers.filter(pl.col("src").is_in(some["account"].implode()))),
        ("folds", folds.join(some, on="account", how="semi")),
    ):
        table.write_csv(tmp_path / "some" / "data" / f"{name}.csv.gz", compression="gzip")
    workspace = Workspace(tmp_path / "workspace")
    report = build(load_spec(EXAMPLES / "hop_sybil" / "spec.yaml"), workspace, data_dir=tmp_path / "some")
    types = check_all(workspace.open_snapshot(report.snapshot_id))
    assert types["counterpart"] >= 20


NAMES = st.text("abcdefghxyz019_-:", min_size=1, max_size=12).filter(lambda name: name[0] not in "_-:")
KINDS = st.sampled_from(["device", "ip", "wallet", "account", "email_domain", "counterparty"])
COUNTS = st.integers(2, 2_000_000)


@st.composite
def evidence(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Evidence of a ring that nobody found, whole and consistent."""
    size = draw(st.integers(3, 3000))
    some = st.integers(2, size)
    pieces: list[dict[str, Any]] = [
        {"type": "group", "accounts": size, "links": draw(COUNTS), "density": 0.5},
        {
            "type": "chance",
            "p_value": 1e-4,
            "q_value": draw(st.sampled_from([0.001, 0.2])),
            "odds": [1, 7_321],
        },
    ]
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(KINDS)
        pieces.append(
            {
                "type": "identifiers",
                "kind": kind,
                "kind_order": draw(st.integers(1, 9)),
                "derived": draw(st.booleans()),
                "accounts": draw(some),
                "of": size,
                "n_entities": draw(st.integers(1, 50)),
                "others": draw(st.integers(0, 5000)),
            }
        )
    strongest = None
    if draw(st.booleans()):
        accounts = draw(some)
        node = {"node": 5, "kind": draw(KINDS), "key": draw(NAMES), "shown": draw(NAMES)}
        ways = st.sampled_from(["sent", "received", "shared"])
        pieces.append(
            {
                "type": "counterpart",
                **node,
                "accounts": accounts,
                "of": size,
                "users": accounts + draw(st.integers(0, 9)),
                "member": draw(st.booleans()),
                "ways": [
                    {
                        "relation": draw(NAMES),
                        "way": draw(ways),
                        "accounts": accounts - draw(st.integers(0, 1)),
                    }
                ],
            }
        )
        strongest = {
            "type": "strongest",
            **node,
            "accounts": accounts,
            "of": size,
            "users": accounts + draw(st.integers(0, 9)),
            "platform": draw(COUNTS) + size,
            "by_chance": draw(st.floats(0, 2000)),
        }
        pieces.append(strongest)
    span_ms = draw(st.sampled_from([0, 1]) | st.integers(0, 10**10))
    from rings.wording import span

    timed = {"from_ms": 5, "to_ms": 5 + span_ms, "span_ms": span_ms, "span": list(span(span_ms))}
    known_times = draw(st.sampled_from([0, 1, size]))
    arrivals: dict[str, Any] = {"type": "arrivals", "accounts": known_times, "of": size}
    pieces.append(arrivals | timed if arrivals["accounts"] else arrivals)
    if draw(st.booleans()):
        event = draw(st.sampled_from(["signup", "first_use"]))
        burst = {"type": "burst", "accounts": draw(some), "of": size, "event": event}
        pieces.append({**burst, **timed, "platform_accounts": 9, "by_chance": draw(st.floats(0, 99))})
    if draw(st.booleans()):
        pieces.append(
            {
                "type": "interactions",
                "relation": draw(NAMES),
                "pairs": draw(st.integers(1, 9999)),
                "accounts": draw(some),
                "of": size,
            }
        )
    if draw(st.booleans()):
        pieces.append({"type": "synchrony", "pairs": draw(COUNTS), "accounts": draw(some), "of": size})
    bad = draw(st.sampled_from(["known_bad", "nearest_bad", "no_bad_near"]))
    if bad == "known_bad":
        pieces.append({"type": bad, "accounts": draw(st.integers(1, size)), "of": size})
    elif bad == "nearest_bad":
        steps = draw(st.integers(1, 4))
        path = [{"kind": draw(KINDS), "key": "k", "shown": "k"} for _ in range(steps + 1)]
        pieces.append({"type": bad, "steps": steps, "path": path})
    else:
        pieces.append({"type": bad, "steps": 4, "known": draw(st.integers(0, 3))})
    probability = draw(st.floats(0.01, 0.99))
    codes = draw(st.lists(st.sampled_from(["different", "apart"]), unique=True))
    against = draw(st.lists(st.sampled_from(["alike", "together", "known_bad"]), unique=True))
    stories = ["household", "office_or_campus", "same_account", "same_counterpart"]
    odds = [draw(st.integers(2, 999_999)), 1]
    pieces.append(
        {
            "type": "honest",
            "story": draw(
                st.sampled_from(stories if strongest else ["same_time", "acquaintances", "chance"])
            ),
            "accounts": size,
            "kind": strongest["kind"] if strongest else None,
            "one_for_all": draw(st.booleans()),
            "probability": probability,
            "odds": odds if probability >= 0.5 else odds[::-1],
            "explained_benign": probability >= 0.8,
            "for": codes,
            "against": against,
            "known_bad": draw(st.integers(1, size)),
            "span": timed["span"],
        }
    )
    things = draw(
        st.lists(
            st.fixed_dictionaries(
                {"what": st.sampled_from(["shared", "dealings"]), "kind": KINDS, "shown": NAMES}
            ),
            max_size=6,
        )
    )
    left = draw(st.integers(1, size))
    pieces.append(
        {
            "type": "minimal",
            "things": things,
            "n_things": len(things),
            "left": left,
            "of": size,
            "dissolves": 2 * left < size or left < 3,
        }
    )
    return [{"id": f"e{at + 1}", "weight": 0.0, **piece} for at, piece in enumerate(pieces)]


@given(evidence())
def test_sentences_of_any_evidence_say_what_it_holds(pieces: list[dict[str, Any]]) -> None:
    by_id = {piece["id"]: piece for piece in pieces}
    said = sentences(pieces)
    for one in said:
        assert one.evidence
        check_sentence(one.text, [by_id[name] for name in one.evidence])
    words = headline(said, pieces)
    assert "best honest explanation: " in words
    assert all(clause in {one.text for one in said} for clause in words.split("; "))


@given(evidence(), st.data())
def test_a_changed_digit_in_any_sentence_is_noticed(
    pieces: list[dict[str, Any]], data: st.DataObject
) -> None:
    by_id = {piece["id"]: piece for piece in pieces}
    one = data.draw(st.sampled_from(sentences(pieces)))
    places = [match.start() for match in re.finditer(r"\d", one.text)]
    if places:
        at = data.draw(st.sampled_from(places))
        other = str((int(one.text[at]) + data.draw(st.integers(1, 9))) % 10)
        changed = f"{one.text[:at]}{other}{one.text[at + 1 :]}"
        with pytest.raises(Wrong):
            check_sentence(changed, [by_id[name] for name in one.evidence])


FACTS: dict[str, Any] = {
    "account_id": "x1",
    "links": 3,
    "of": 14,
    "cut": 2,
    "ring": "r12",
    "tie": 0.4123,
    "other_tie": 2.31,
    "mean": 0.0294,
    "other_mean": 0.31,
    "least": 0.06,
    "strength": 0.0417,
    "alike": 0.12,
    "members_alike": 0.91,
    "users": 776,
    "via": {"kind": "ip", "shown": "4ee81095…"},
}


@pytest.mark.parametrize("code", REASONS)
def test_the_reason_for_leaving_out_says_what_its_facts_hold(code: str) -> None:
    words = left_out_words(FACTS | {"code": code})
    check_left_out(FACTS | {"code": code, "words": words}, "r99")
    for match in re.finditer(r"\d", words):
        other = f"{words[: match.start()]}{(int(match[0]) + 1) % 10}{words[match.end() :]}"
        with pytest.raises(Wrong):
            check_left_out(FACTS | {"code": code, "words": other}, "r99")


def test_a_sentence_without_evidence_or_of_no_known_form_is_wrong() -> None:
    with pytest.raises(Wrong, match="no evidence"):
        check_sentence("14 accounts", [])
    with pytest.raises(Wrong, match="no known form"):
        check_sentence("they seem guilty", [{"type": "chance", "id": "e1"}])
    with pytest.raises(Wrong, match="accounts"):
        check_sentence("15 accounts", [{"type": "group", "accounts": 14}])
