"""Examples of the ring paths for the API's own description; a test validates them."""

from typing import Any, Final

_RING: Final[dict[str, Any]] = {
    "id": "r4be01c77a2",
    "rank": 1,
    "score": 0.94,
    "size": 14,
    "density": 0.81,
    "synchrony": 0.97,
    "p_value": 0.001,
    "q_value": 0.004,
    "known_bad": 2,
    "explained_benign": False,
    "status": "open",
    "benign": None,
    "words": "14 accounts on 2 devices that nobody else used, signed up within 41 minutes",
    "parents": [],
}
_ABOUT: Final[dict[str, Any]] = {
    "run": "20260301-1f0c",
    "graph_as_of": "2026-03-01T00:00:00Z",
    "simulated": True,
}

PAGE: Final[dict[str, Any]] = {
    "rings": [_RING],
    "total": 37,
    "next_cursor": "WzEsIjIwMjYwMzAxLTFmMGMiLCI…",
    **_ABOUT,
}

RING: Final[dict[str, Any]] = {
    "ring": _RING,
    "sentences": [
        {"text": "14 accounts on 2 devices that nobody else used.", "evidence": ["e1"]},
        {"text": "They signed up within 41 minutes.", "evidence": ["e2"]},
    ],
    "evidence": [
        {
            "id": "e1",
            "type": "identifiers",
            "weight": 92.4,
            "text": "14 of 14 accounts used device 6f0d12ab… (9 accounts), 88ac01fe… (5 accounts); "
            "nobody else used any of these",
        },
        {
            "id": "e2",
            "type": "burst",
            "weight": 80.1,
            "text": "14 of 14 accounts first appeared (signup) within 41 minutes; "
            "16 on the whole platform did then",
        },
    ],
    "members": [
        {"account_id": "player-00017", "role": "core", "weight": 0.98, "score": 0.97, "known_bad": True}
    ],
    "minimal": {
        "id": "e3",
        "type": "minimal",
        "weight": 0.0,
        "dissolves": True,
        "things": [
            {
                "what": "shared",
                "kind": "device",
                "key": "6f0d12ab…",
                "shown": "6f0d12ab…",
                "accounts": 9,
                "carries": 0.61,
                "evidence": ["e1"],
            }
        ],
        "n_things": 1,
        "carries": 0.61,
        "left": 5,
        "of": 14,
        "text": "without device 6f0d12ab… (9 accounts, 61 % of the weight): 5 of 14 accounts hang together "
        "at most; gone is 61 % of the weight of its links; they dissolve it",
    },
    "left_out": [
        {
            "id": "n1",
            "account_id": "player-00391",
            "code": "few_links",
            "strength": 0.21,
            "words": "account player-00391 is linked with 1 of 14 members, by 0.015 on average over all; "
            "a member needs 0.030",
            "facts": {"links": 1, "tie": 0.21, "of": 14, "mean": 0.015, "least": 0.03},
        }
    ],
    "timeline": [{"time": "2026-02-11T07:02:31Z", "event": "signup", "account_id": "player-00017"}],
    "subgraph": {
        "nodes": [
            {"id": "account:player-00017", "kind": "account", "label": "player-00017"},
            {"id": "device:6f0d…", "kind": "device", "label": "device 6f0d…"},
        ],
        "edges": [{"source": "account:player-00017", "target": "device:6f0d…", "relation": "used:device"}],
    },
    "cypher": [
        {
            "id": "found",
            "title": "14 of the 14 members of ring r4be01c77a2, found from 2 things that they share",
            "text": "// 14 of the 14 members of ring r4be01c77a2, found from 2 things that they share\n"
            "CALL () {\n  UNWIND ['6f0d12ab…', '88ac01fe…'] AS key\n  MATCH (n:Device {hash: key})\n…",
            "expected": {"rows": 14, "members": 14, "missing": []},
        }
    ],
    **_ABOUT,
}
