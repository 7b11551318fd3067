"""Examples of the account paths for the API's own description; a test validates them."""

from typing import Any, Final

_REASON: Final[dict[str, Any]] = {
    "code": "SHARED_WITH_CONFIRMED_BAD",
    "message": "Shares a device with player-00410, which is confirmed bad; nobody else touches it.",
    "impact": 0.31,
    "evidence": [
        {"type": "shared_node", "kind": "device", "key": "6f0d…", "accounts": 2},
        {"type": "confirmed_bad_account", "account": "player-00410"},
    ],
    "safe_for_user": False,
    "without": {
        "score": 0.31,
        "what": "device 6f0d…",
        "score_without_all": 0.31,
        "words": "without the device that 2 accounts touch: 0.97 → 0.31",
    },
}
_DEVICE: Final[dict[str, Any]] = {
    "what": "device 6f0d…",
    "words": "without the device that 2 accounts touch: 0.97 → 0.31",
    "score": 0.31,
    "log_odds": 4.28,
    "evidence": {
        "type": "shared_node",
        "kind": "device",
        "key": "6f0d…",
        "accounts": 2,
        "other_accounts": ["player-00410"],
    },
}
_CARRIERS: Final[dict[str, Any]] = {
    "nodes": [_DEVICE],
    "accounts": [
        {
            "what": "account player-00410",
            "words": "without what links it to account player-00410: 0.97 → 0.36",
            "score": 0.36,
            "log_odds": 4.05,
            "evidence": {
                "type": "linked_account",
                "account": "player-00410",
                "shared": [{"kind": "device", "key": "6f0d…"}],
                "dealt_with": False,
            },
        }
    ],
    "relations": [
        {
            "what": "device",
            "words": "without any device: 0.97 → 0.31",
            "score": 0.31,
            "log_odds": None,
            "evidence": {"type": "activity", "relation": "used:device", "counterparts": 1},
        }
    ],
    "of_nodes": 4.28,
    "of_accounts": 4.05,
    "least": {
        "pieces": ["device 6f0d…"],
        "words": "without the device that 2 accounts touch: 0.97 → 0.31",
        "score": 0.31,
        "goal": 0.6,
    },
}
_ABOUT: Final[dict[str, Any]] = {
    "model_version": "20260301-8c1f22",
    "graph_as_of": "2026-03-01T00:00:00Z",
    "simulated": True,
}

ACCOUNT: Final[dict[str, Any]] = {
    "id": "player-00017",
    "score": 0.97,
    "percentile": 99.7,
    "calibrated": True,
    "risk_level": "critical",
    "decision": "review",
    "rule": "threshold",
    "policy": "default 2",
    "ring": {"id": "r4be01c77a2", "rank": 1, "role": "hub", "membership": "member"},
    "verdict": None,
    "labels": [
        {
            "label": "bad",
            "known_at": "2026-02-20T10:00:00Z",
            "source": "analyst",
            "abuse_type": "multi_account",
            "reason": "same selfie as player-00018",
        },
        {
            "label": "undone",
            "known_at": "2026-02-21T08:15:00Z",
            "source": "appeal",
            "abuse_type": None,
            "reason": "a twin",
        },
    ],
    "first_seen": "2026-02-11T07:02:31Z",
    "last_seen": "2026-02-28T22:40:09Z",
    "attributes": {"country": "DE"},
    "identifiers": [{"kind": "device", "key": "6f0d…", "accounts": 14, "known_bad": 2, "is_hub": False}],
    "identifiers_total": 1,
    **_ABOUT,
}

REASONS: Final[dict[str, Any]] = {
    "id": "player-00017",
    "score": 0.97,
    "percentile": 99.7,
    "reasons": [_REASON],
    "carriers": _CARRIERS,
    **_ABOUT,
}
