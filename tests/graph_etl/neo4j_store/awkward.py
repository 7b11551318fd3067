"""A small graph whose keys, reasons and categories hold whatever a text can hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.building import Built, build_from_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SPEC = """
ringwatch: 1
name: awkward
sources:
  people: {path: people.jsonl}
  gifts: {path: gifts.jsonl}
  chats: {path: chats.jsonl}
  bans: {path: bans.jsonl}
kinds:
  device: {identifier: true}
  shop: {identifier: true, public: true, normalise: exact}
  wallet: {identifier: false, public: true, normalise: exact}
accounts:
  - source: people
    id: id
    time: at
    identifiers: {device: device, shop: shop}
    attributes: {mood: category, form_s: number, keen: flag}
events:
  - source: gifts
    type: gift
    from: {account: giver, otherwise: wallet}
    to: {account: taker, otherwise: wallet}
    time: at
    amount: coins
  - {source: chats, type: chat, from: {account: a}, to: {account: b}, directed: false}
verdicts:
  - {source: bans, account: id, label: word, bad: [ban], good: [fine], known_at: at, reason: reason}
"""

TEXTS = (
    "plain",
    'say "hi"',
    "a,b;c|d",
    "two\nlines",
    "carriage\rreturn",
    "both\r\nof them",
    "'single' `back`",
    "back\\slash\\",
    '"',
    '""',
    "ünï©ødé 日本語 🦊",
    "line\u2028separator",
    "tab\tinside",
    "{curly} $dollar #hash //no comment",
    "null",
    "-1",
    "=1+1",
)
"""No two alike once blanks around them are gone."""


def build_awkward(folder: Path) -> Built:
    """Build the graph.

    Args:
        folder: An empty folder.

    Returns:
        17 accounts and 17 wallets with the names of :data:`TEXTS`; the last account has no device.
    """
    people: list[dict[str, object]] = [
        {
            "id": text,
            "at": 1_700_000_000 + at,
            "device": f"secret-{at % 5}" if at + 1 < len(TEXTS) else None,
            "shop": TEXTS[-1 - at],
            "mood": TEXTS[at % 7] if at % 4 else None,
            "form_s": 0.1 * at - 1,
            "keen": at % 2 == 0,
        }
        for at, text in enumerate(TEXTS)
    ]
    gifts: list[dict[str, object]] = [
        {
            "giver": TEXTS[at % 17],
            "taker": TEXTS[at % 13] if at % 3 else f"wallet {TEXTS[at % 17]}",
            "at": 1_700_100_000 + 7 * at,
            "coins": 0.1 * at,
        }
        for at in range(60)
    ]
    chats: list[dict[str, object]] = [{"a": TEXTS[at], "b": TEXTS[(at * 5 + 1) % 17]} for at in range(12)]
    bans: list[dict[str, object]] = [
        {"id": text, "word": "ban" if at % 2 else "fine", "at": 1_700_200_000, "reason": TEXTS[-1 - at]}
        for at, text in enumerate(TEXTS[:6])
    ]
    files = {
        "people": people,
        "gifts": gifts,
        "chats": chats,
        "bans": bans,
    }
    return build_from_text(folder, SPEC, {f"{name}.jsonl": _lines(rows) for name, rows in files.items()})


def _lines(rows: Sequence[dict[str, object]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
