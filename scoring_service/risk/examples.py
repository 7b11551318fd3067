"""Examples of `POST /v1/risk` for the API's own description; a test sends and validates them."""

from typing import Any, Final

REQUESTS: Final[dict[str, Any]] = {
    "signup": {
        "summary": "A sign-up of an account that nobody has seen",
        "value": {
            "event_type": "signup",
            "event_id": "ev-20260301-000017",
            "event_timestamp": "2026-03-01T09:30:00Z",
            "account": {"id": "player-90001", "country": "DE"},
            "identifiers": {
                "device": "d-51aa07",
                "ip": "203.0.113.24",
                "email": "new.player@example.com",
            },
        },
    },
    "gift": {
        "summary": "A gift from one account to another",
        "value": {
            "event_type": "gift",
            "event_id": "ev-20260301-000018",
            "event_timestamp": "2026-03-01T09:31:12Z",
            "account": {"id": "player-00017"},
            "identifiers": {"device": ["d-51aa07", "d-51aa08"]},
            "interactions": [{"type": "gift", "to": "player-00021", "amount": 4.5}],
            "properties": {"client": "android"},
        },
    },
}

_EVADER: Final[dict[str, Any]] = {
    "id": "ra_5f1d2c90b7a3e4416d20",
    "event_id": "ev-20260301-000017",
    "account_id": "player-90001",
    "accepted": True,
    "event_seq": 48113,
    "score": 0.83,
    "percentile": 98.9,
    "calibrated": True,
    "risk_level": "critical",
    "decision": "deny",
    "policy": {
        "name": "default",
        "version": 2,
        "moment": "signup",
        "rule": "shares_rare_identifier_with_confirmed_bad",
    },
    "reasons": [
        {
            "code": "SHARED_WITH_CONFIRMED_BAD",
            "message": "Shares a device with player-00410, which is confirmed bad; nobody else touches it.",
            "impact": 0.31,
            "evidence": [
                {"type": "shared_node", "kind": "device", "key": "6f0d…", "accounts": 2},
                {"type": "confirmed_bad_account", "account": "player-00410"},
            ],
            "safe_for_user": False,
        }
    ],
    "ring": None,
    "model_version": "20260301-8c1f22",
    "graph_as_of": "2026-03-01T00:00:00Z",
    "simulated": True,
    "warnings": [],
    "degraded": None,
}

ANSWERS: Final[dict[str, Any]] = {
    "ban_evader": {"summary": "A device that a confirmed bad account used", "value": _EVADER},
    "degraded": {
        "summary": "Without a bundle: the identifiers' reputation answers",
        "value": {
            **_EVADER,
            "score": 0.35,
            "percentile": None,
            "calibrated": False,
            "reasons": [],
            "model_version": None,
            "degraded": {
                "reason": "bundle_unavailable",
                "message": "there is no bundle yet",
                "fallback": "identifier_reputation",
            },
        },
    },
    "not_kept": {
        "summary": "The journal could not keep the event: the answer is whole, the event does not count",
        "value": {
            **_EVADER,
            "accepted": False,
            "event_seq": None,
            "warnings": [
                {
                    "code": "not_accepted",
                    "message": "the event was scored and not kept: database is locked",
                    "detail": {"reason": "journal_unavailable"},
                }
            ],
            "degraded": {
                "reason": "journal_unavailable",
                "message": "database is locked",
                "fallback": None,
            },
        },
    },
}
