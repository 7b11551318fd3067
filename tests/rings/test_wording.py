"""Singular and plural, units, names of things."""

import pytest

from rings.wording import article, counted, listed, noun, plural, shown_key, small, span

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("word", "many"),
    [
        ("device", "devices"),
        ("counterparty", "counterparties"),
        ("address", "addresses"),
        ("day", "days"),
        ("box", "boxes"),
        ("IP", "IPs"),
    ],
)
def test_plural(word: str, many: str) -> None:
    assert plural(word) == many


@pytest.mark.parametrize(
    ("duration_ms", "expected"),
    [
        pytest.param(0, (1, "second"), id="nothing"),
        pytest.param(119_000, (119, "seconds"), id="seconds-to-the-end"),
        pytest.param(120_000, (2, "minutes"), id="then-minutes"),
        pytest.param(41 * MINUTE, (41, "minutes"), id="farm"),
        pytest.param(2 * HOUR, (2, "hours"), id="two-hours"),
        pytest.param(2 * HOUR + 1, (3, "hours"), id="rounded-up-so-that-within-is-true"),
        pytest.param(48 * HOUR, (2, "days"), id="two-days"),
        pytest.param(400 * DAY, (400, "days"), id="days-without-end"),
    ],
)
def test_span(duration_ms: int, expected: tuple[int, str]) -> None:
    assert span(duration_ms) == expected


def test_counts_and_names() -> None:
    assert counted(1, "email_domain") == "1 email domain"
    assert counted(1234, "ip") == "1,234 IPs"
    assert noun("erc20:polygon") == "erc20:polygon"
    assert [small(count) for count in (1, 5, 6)] == ["one", "five", "6"]
    assert [article(word) for word in ("IP", "account", "device")] == ["an IP", "an account", "a device"]
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_a_hashed_key_is_shortened_and_a_public_one_is_not() -> None:
    key = "10b86e6f56803e65b6989e5df148edb3"
    assert shown_key(key, public=False) == "10b86e6f…"
    assert shown_key(key, public=True) == key
