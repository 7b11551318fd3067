"""The policy: a score alone never denies, evidence only raises, one account equals all at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_service.errors import PolicyError
from scoring_service.policy import (
    Evidence,
    EvidenceTable,
    RingTie,
    SharedUse,
    decide,
    decide_all,
    files_of,
    load_policy,
)
from scoring_service.policy.schemas import DECISIONS, RISK_LEVELS, Policy
from scoring_service.policy.service import DEFAULT_POLICY

POLICY = load_policy()
NOTHING = Evidence()
EVADER = Evidence(shared=[SharedUse("device", node=5, others=1, bad=1)])


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        pytest.param(0.0, ("low", "allow"), id="nothing"),
        pytest.param(0.2499, ("low", "allow"), id="just-below-medium"),
        pytest.param(0.25, ("medium", "challenge"), id="medium-from-here"),
        pytest.param(0.6, ("high", "challenge"), id="high-from-here"),
        pytest.param(1.0, ("critical", "review"), id="certain-and-still-no-deny"),
    ],
)
def test_sign_up_thresholds(score: float, expected: tuple[str, str]) -> None:
    decided = decide(POLICY, "signup", score=score, percentile=50.0, calibrated=True, evidence=NOTHING)
    assert (decided.level, decided.decision) == expected
    assert decided.rule == "threshold"


def test_moment_without_thresholds_of_its_own_takes_the_default_ones() -> None:
    at_7d = decide(POLICY, "7d", score=0.61, percentile=None, calibrated=True, evidence=NOTHING)
    at_signup = decide(POLICY, "signup", score=0.61, percentile=None, calibrated=True, evidence=NOTHING)
    assert at_7d.decision == "review"
    assert at_signup.decision == "challenge"


def test_uncalibrated_score_counts_by_its_percentile() -> None:
    decided = decide(POLICY, "7d", score=0.99, percentile=10.0, calibrated=False, evidence=NOTHING)
    assert decided.decision == "allow"


def test_nothing_known_takes_the_fallback() -> None:
    decided = decide(POLICY, "signup", score=None, percentile=None, calibrated=True, evidence=NOTHING)
    assert (decided.level, decided.decision, decided.rule) == ("medium", "challenge", "fallback")


@pytest.mark.parametrize("is_member", [True, False])
@pytest.mark.parametrize(
    ("size", "score", "q_value", "expected"),
    [
        pytest.param(5, 0.3, 0.05, "challenge", id="just-strong-enough"),
        pytest.param(4, 0.9, 0.0, "allow", id="a-family-of-four"),
        pytest.param(50, 0.29, 0.0, "allow", id="low-score"),
        pytest.param(50, 0.9, 0.051, "allow", id="may-be-chance"),
    ],
)
def test_tie_to_a_strong_ring_challenges(
    is_member: bool, size: int, score: float, q_value: float, expected: str
) -> None:
    tie = RingTie(is_member=is_member, size=size, known_bad=0, score=score, q_value=q_value)
    decided = decide(
        POLICY, "signup", score=0.1, percentile=50.0, calibrated=True, evidence=Evidence(ring=tie)
    )
    assert decided.decision == expected


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        pytest.param(2, ("review", "attached_to_confirmed_ring"), id="hardly-anybody-uses-it"),
        pytest.param(21, ("challenge", "tied_to_ring"), id="too-common-to-attach-anybody"),
    ],
)
def test_identifiers_that_lead_to_a_confirmed_ring_do_not_deny(users: int, expected: tuple[str, str]) -> None:
    tie = RingTie(is_member=False, size=10, known_bad=10, score=0.9, q_value=0.0, users=users)
    decided = decide(
        POLICY, "signup", score=0.1, percentile=50.0, calibrated=True, evidence=Evidence(ring=tie)
    )
    assert (decided.decision, decided.rule) == expected


def test_rule_about_attached_accounts_cannot_be_written_to_deny(tmp_path: Path) -> None:
    document = _document()
    rule = next(rule for rule in document["evidence"] if rule["rule"] == "attached_to_confirmed_ring")
    rule["decision"] = "deny"
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(PolicyError, match="'allow', 'challenge' or 'review'"):
        load_policy(path)


def test_blocked_identifier_denies_at_any_score_and_moment() -> None:
    for moment in ("signup", "7d", "retrospective"):
        decided = decide(
            POLICY, moment, score=0.0, percentile=0.0, calibrated=True, evidence=Evidence(blocked=True)
        )
        assert (decided.decision, decided.rule) == ("deny", "blocked_identifier")


def test_block_list_joins_the_policy_file_and_the_file_that_it_names(tmp_path: Path) -> None:
    document = _document()
    document["blocked"] = {"file": "blocked.yaml", "keys": {"device": ["6f0d"], "page": ["spam"]}}
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    (tmp_path / "blocked.yaml").write_text("device: [88ac]\nip: ['1234']\n")
    policy = load_policy(path)
    assert policy.blocked_keys == {
        ("device", "6f0d"),
        ("device", "88ac"),
        ("page", "spam"),
        ("ip", "1234"),
    }
    assert files_of(path, policy) == (path, tmp_path / "blocked.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("device: 6f0d\n", "device", id="no-list"),
        pytest.param("device: [", "line 1", id="no-yaml"),
        pytest.param(None, "No such file", id="missing"),
    ],
)
def test_broken_block_list_is_refused_by_its_own_name(
    tmp_path: Path, text: str | None, expected: str
) -> None:
    document = _document()
    document["blocked"] = {"file": "blocked.yaml"}
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    if text is not None:
        (tmp_path / "blocked.yaml").write_text(text)
    with pytest.raises(PolicyError, match=r"blocked\.yaml") as caught:
        load_policy(path)
    assert expected in str(caught.value)


def test_rule_of_one_moment_does_not_hold_at_another() -> None:
    decided = decide(POLICY, "7d", score=0.0, percentile=0.0, calibrated=True, evidence=EVADER)
    assert decided.decision == "review"


def test_rare_device_of_a_confirmed_bad_account_denies_whatever_the_score() -> None:
    decided = decide(POLICY, "signup", score=0.01, percentile=3.0, calibrated=True, evidence=EVADER)
    assert (decided.decision, decided.rule) == ("deny", "shares_rare_identifier_with_confirmed_bad")


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        pytest.param(SharedUse("device", 5, others=5, bad=3), "deny", id="five-others-most-bad"),
        pytest.param(SharedUse("device", 5, others=5, bad=2), "review", id="household-where-most-are-not"),
        pytest.param(SharedUse("device", 5, others=6, bad=6), "review", id="six-others-is-not-rare-enough"),
        pytest.param(SharedUse("ip", 5, others=1, bad=1), "review", id="an-address-alone-is-for-review"),
        pytest.param(SharedUse("device", 5, others=21, bad=20), "allow", id="too-common-to-say-anything"),
    ],
)
def test_how_rare_an_identifier_must_be(shared: SharedUse, expected: str) -> None:
    evidence = Evidence(shared=[shared])
    decided = decide(POLICY, "signup", score=0.0, percentile=0.0, calibrated=True, evidence=evidence)
    assert decided.decision == expected


@pytest.mark.parametrize(
    ("size", "known_bad", "expected"), [(6, 3, "deny"), (7, 3, "allow"), (2, 2, "allow")]
)
def test_ring_is_confirmed_from_three_known_bad_and_half_of_its_members(
    size: int, known_bad: int, expected: str
) -> None:
    evidence = Evidence(ring=RingTie(is_member=True, size=size, known_bad=known_bad, score=0.0, q_value=1.0))
    decided = decide(POLICY, "retrospective", score=0.0, percentile=0.0, calibrated=True, evidence=evidence)
    assert decided.decision == expected


@given(
    st.sampled_from(["signup", "1d", "retrospective"]),
    st.floats(0, 1),
    st.floats(0, 100),
    st.booleans(),
)
def test_a_score_alone_never_denies(moment: str, score: float, percentile: float, calibrated: bool) -> None:
    decided = decide(
        POLICY, moment, score=score, percentile=percentile, calibrated=calibrated, evidence=NOTHING
    )
    assert decided.decision != "deny"


@st.composite
def _accounts(draw: st.DrawFn) -> list[tuple[float | None, float | None, Evidence]]:
    shared = st.builds(
        SharedUse,
        st.sampled_from(["device", "ip", "card"]),
        st.just(1),
        st.integers(1, 25),
        st.integers(1, 25),
    ).filter(lambda use: use.bad <= use.others)
    ring = st.builds(
        RingTie,
        is_member=st.just(True),
        size=st.integers(1, 9),
        known_bad=st.integers(0, 9),
        score=st.floats(0, 1),
        q_value=st.floats(0, 0.1),
    )
    evidence = st.builds(
        Evidence,
        confirmed_bad=st.booleans(),
        blocked=st.booleans(),
        shared=st.lists(shared, max_size=3),
        ring=st.none() | ring,
    )
    one = st.tuples(st.none() | st.floats(0, 1), st.none() | st.floats(0, 100), evidence)
    return draw(st.lists(one, min_size=1, max_size=12))


@settings(max_examples=60, deadline=None)
@given(_accounts(), st.sampled_from(["signup", "retrospective"]), st.booleans())
def test_all_at_once_equals_one_by_one(
    accounts: list[tuple[float | None, float | None, Evidence]], moment: str, calibrated: bool
) -> None:
    shared = {
        kind: tuple(
            np.array(
                [
                    (index, use.others, use.bad)[part]
                    for index, (_, _, evidence) in enumerate(accounts)
                    for use in evidence.shared
                    if use.kind == kind
                ],
                dtype=np.int64,
            )
            for part in range(3)
        )
        for kind in ("device", "ip", "card")
    }
    rings = [evidence.ring for _, _, evidence in accounts]
    table = EvidenceTable(
        confirmed_bad=np.array([evidence.confirmed_bad for _, _, evidence in accounts]),
        shared={kind: (columns[0], columns[1], columns[2]) for kind, columns in shared.items()},
        ring_size=np.array([0 if ring is None else ring.size for ring in rings]),
        ring_known_bad=np.array([0 if ring is None else ring.known_bad for ring in rings]),
        ring_score=np.array([0.0 if ring is None else ring.score for ring in rings]),
        ring_q_value=np.array([1.0 if ring is None else ring.q_value for ring in rings]),
        blocked=np.array([evidence.blocked for _, _, evidence in accounts]),
    )
    levels, decisions = decide_all(
        POLICY,
        moment,
        score=np.array([np.nan if score is None else score for score, _, _ in accounts]),
        percentile=np.array([np.nan if percentile is None else percentile for _, percentile, _ in accounts]),
        calibrated=calibrated,
        evidence=table,
    )
    one_by_one = [
        decide(POLICY, moment, score=score, percentile=percentile, calibrated=calibrated, evidence=evidence)
        for score, percentile, evidence in accounts
    ]
    assert [RISK_LEVELS[level] for level in levels] == [decided.level for decided in one_by_one]
    assert [DECISIONS[decision] for decision in decisions] == [decided.decision for decided in one_by_one]


def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(DEFAULT_POLICY.read_text())
    return document


def _broken(change: str) -> dict[str, Any]:
    document = _document()
    if change == "deny by score":
        document["moments"]["signup"][0]["decision"] = "deny"
    elif change == "unknown key":
        document["threshold"] = 3
    elif change == "no default":
        del document["moments"]["default"]
    elif change == "wrong order":
        document["moments"]["default"].reverse()
    elif change == "gap at the bottom":
        document["moments"]["default"][-1]["score"] = 0.1
    elif change == "milder above":
        document["moments"]["default"][0]["decision"] = "allow"
    return document


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("deny by score", "'allow', 'challenge' or 'review'"),
        ("unknown key", "threshold: Extra inputs are not permitted"),
        ("no default", "moments must hold 'default'"),
        ("wrong order", "moments.default must"),
        ("gap at the bottom", "from score 0 and percentile 0 on"),
        ("milder above", "must not be milder"),
    ],
)
def test_broken_policy_is_refused_with_its_place(tmp_path: Path, change: str, expected: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(_broken(change), sort_keys=False))
    with pytest.raises(PolicyError, match=r"docs/policy\.md") as caught:
        load_policy(path)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


def test_file_that_is_no_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("policy: 1\nname: [\n")
    with pytest.raises(PolicyError, match="line 3, column 1"):
        load_policy(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"gone\.yaml: file: No such file"):
        load_policy(tmp_path / "gone.yaml")


def test_default_policy_is_what_the_package_ships() -> None:
    assert Policy.model_validate(_document()) == POLICY
