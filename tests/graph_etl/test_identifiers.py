"""Two spellings of one thing get one key, other things other keys, and no key holds what it was made from."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from graph_etl.errors import HashKeyError, IdentifierError, SpecError
from graph_etl.identifiers import (
    HASH_KEY_VARIABLE,
    Hasher,
    account_key,
    as_text,
    entity_key,
    key_column,
    keys_of,
    normalise_column,
    normalise_value,
)
from graph_etl.spec import Kind, parse_spec

SPEC = parse_spec(
    """
ringwatch: 1
name: t
sources: {t: t.csv}
kinds:
  device: {normalise: text}
  phone: {normalise: phone, region: US}
  ip: {normalise: ip, derive: [subnet]}
  email: {normalise: email, derive: [email_domain]}
  email_domain: {public: true, normalise: exact}
  card: {normalise: exact}
  page: {public: true, normalise: text}
accounts: [{source: t, id: a}]
"""
)
HASHER = Hasher(b"sixteen bytes ok")
OTHER = Hasher(b"another sixteen!")

RULES = ["text", "exact", "ip", "email", "phone", "number"]


def kind_of(rule: str) -> Kind:
    return Kind.model_validate({"normalise": rule, "region": "US" if rule == "phone" else None})


@pytest.mark.parametrize(
    ("rule", "spellings"),
    [
        ("text", ["iPhone 7", "  IPHONE\t7 ", "ｉＰｈｏｎｅ 7", "i\u200bPhone\u00a07"]),
        ("text", ["Straße", "STRASSE", "strasse"]),
        ("text", ["e\u0301", "\u00e9", "\u00c9"]),
        ("exact", [" Tok_1", "Tok_1 "]),
        (
            "ip",
            [
                "192.0.2.7",
                "192.000.002.007",
                "::ffff:192.0.2.7",
                "192.0.2.7:443",
                "64:ff9b::c000:207",
                "3221225991",
            ],
        ),
        ("ip", ["43.173.1.97", "732758368.8", "732758369", "732758369.0", "7.32758369e8"]),
        ("ip", ["2001:db8::1", "2001:0DB8:0:0::0001", "[2001:db8::1]:443", "2001:db8::1%eth0"]),
        (
            "email",
            [
                "jane.doe@gmail.com",
                "JaneDoe+news@googlemail.com",
                "j.a.n.e.d.o.e@gmail.com",
                "Jane <janedoe@gmail.com>",
            ],
        ),
        ("email", ["a.b@outlook.com", "A.B+x@Outlook.com", "mailto:a.b@outlook.com"]),
        ("email", ["joe@fastmail.com", "joe+x@fastmail.com", "shop@joe.fastmail.com"]),
        ("email", ["joe.doe@proton.me", "joedoe@protonmail.com", "joe_doe+x@pm.me", "joe-doe@proton.me"]),
        ("email", ["joe@yahoo.com", "joe-shop@yahoo.com", "joe+x@yahoo.com"]),
        ("email", ["joe@icloud.com", "joe@me.com", "joe+x@mac.com"]),
        ("email", ["a-b@yandex.ru", "a.b@ya.ru", "a.b@yandex.com"]),
        ("email", ["x@münchen.de", "X@MÜNCHEN.DE.", "x@xn--mnchen-3ya.de"]),
        (
            "phone",
            [
                "+1 (415) 555-2671",
                "415-555-2671",
                "14155552671",
                "4155552671.0",
                "tel:+1-415-555-2671 ext. 5",
            ],
        ),
        ("phone", ["+44 20 7946 0958", "0044 (0)20 7946 0958", "442079460958"]),
        ("number", ["7", "007", "7.0", "7e0", " 7 "]),
        ("number", ["1234567", "1 234 567", "1234567.00"]),
    ],
)
def test_spellings_of_one_thing_are_one(rule: str, spellings: list[str]) -> None:
    normal = {normalise_value(kind_of(rule), spelling) for spelling in spellings}
    assert len(normal) == 1
    assert None not in normal


@pytest.mark.parametrize(
    ("rule", "one", "other"),
    [
        ("exact", "Tok_1", "tok_1"),
        ("ip", "192.0.2.7", "192.0.2.70"),
        ("ip", "2001:db8::1", "2001:db8::2"),
        ("email", "a.b@outlook.com", "ab@outlook.com"),
        ("email", "joe@outlook.com", "joe@hotmail.com"),
        ("email", "a-b@example.com", "a@example.com"),
        ("email", "joe@yahoo.com", "joe@yahoo.de"),
        ("phone", "+14155552671", "+14155552672"),
        ("number", "70", "7"),
        ("number", "-7", "7"),
        ("text", "iPhone 7", "iPhone7"),
    ],
)
def test_other_things_stay_apart(rule: str, one: str, other: str) -> None:
    kind = kind_of(rule)
    assert normalise_value(kind, one) != normalise_value(kind, other)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("blank", ["", "  ", "\t\u00a0"])
def test_blank_is_absent_not_unreadable(rule: str, blank: str) -> None:
    assert normalise_value(kind_of(rule), blank) is None


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_an_address_that_says_unknown_is_absent(address: str) -> None:
    assert normalise_value(kind_of("ip"), address) is None


@pytest.mark.parametrize(
    ("rule", "raw", "reason"),
    [
        ("ip", "192.0.2.256", "larger than 255"),
        ("ip", "192.0.2", "expected an IPv4 or IPv6 address"),
        ("ip", "10.1", "as a number"),
        ("ip", "4294967296", "as a number"),
        ("ip", "2001:db8::1/64", "expected an IPv4 or IPv6 address"),
        ("ip", "1" * 1_000, "longer than 64 characters"),
        ("email", "jane", "expected an e-mail address"),
        ("email", "jane@", "no domain"),
        ("email", "jane@localhost", "no domain such as example.com"),
        ("email", "ja ne@example.com", "expected an e-mail address"),
        ("email", "jane@exa_mple..com", "no domain"),
        ("email", "jane@[300.1.1.1]", "no IP address"),
        ("phone", "call me", "expected a phone number of region US"),
        ("phone", "911", "expected a phone number of region US"),
        ("number", "seven", "expected a number"),
        ("number", "1e999999999", "finite number"),
        ("number", "NaN", "finite number"),
        ("text", "x" * 5_000, "longer than 4,096 characters"),
    ],
)
def test_what_cannot_be_read_says_why_and_not_what(rule: str, raw: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        normalise_value(kind_of(rule), raw)
    assert raw not in str(caught.value)


ANY_TEXT = st.one_of(
    st.text(max_size=20),
    st.from_regex(r"[a-z.+-]{1,12}@[a-z-]{1,8}(\.fastmail)?\.(com|de|co\.uk)", fullmatch=True),
    st.builds(
        "{}@{}".format,
        st.from_regex(r"[A-Za-z.+_-]{1,9}", fullmatch=True),
        st.sampled_from(
            [
                "gmail.com",
                "yahoo.co.uk",
                "pm.me",
                "x.fastmail.com",
                "ya.ru",
                "me.com",
                "hotmail.com",
                "bücher.example",
            ]
        ),
    ),
    st.from_regex(r"\+?[0-9 ()-]{5,16}", fullmatch=True),
    st.ip_addresses().map(str),
    st.floats(allow_nan=True).map(str),
    st.integers(-(2**70), 2**70).map(str),
)


@pytest.mark.parametrize("rule", RULES)
@given(raw=ANY_TEXT)
def test_normalising_twice_is_normalising_once(rule: str, raw: str) -> None:
    kind = kind_of(rule)
    try:
        once = normalise_value(kind, raw)
    except ValueError:
        once = None
    assert once is None or normalise_value(kind, once) == once


@given(st.integers(1_000, 2**32 - 1))
def test_an_ipv4_address_is_the_same_in_every_notation(number: int) -> None:
    kind, address = kind_of("ip"), ipaddress.IPv4Address(number)
    notations = [str(address), str(number), f"{number}.0", f"::ffff:{address}", f"{address}:80"]
    assert {normalise_value(kind, notation) for notation in notations} == {str(address)}


@given(st.integers(1, 2**128 - 1))
def test_an_ipv6_address_is_the_same_long_and_short(number: int) -> None:
    kind, address = kind_of("ip"), ipaddress.IPv6Address(number)
    assert normalise_value(kind, address.exploded.upper()) == normalise_value(kind, address.compressed)


@given(st.text(min_size=1, max_size=30))
def test_case_and_white_space_never_matter_in_text(raw: str) -> None:
    kind = kind_of("text")
    assert normalise_value(kind, f" {raw.upper()}\n") == normalise_value(kind, raw.upper().lower().upper())


def test_the_derived_kinds_follow_from_the_normalised_address() -> None:
    assert [kind for kind, _ in keys_of(SPEC, "ip", "192.0.2.7", HASHER)] == ["ip", "subnet"]
    one, other, far = (
        dict(keys_of(SPEC, "ip", raw, HASHER)) for raw in ("192.0.2.7", "::ffff:192.0.2.99", "192.0.3.7")
    )
    assert one["ip"] != other["ip"]
    assert one["subnet"] == other["subnet"] != far["subnet"]
    six, mate = (dict(keys_of(SPEC, "ip", raw, HASHER)) for raw in ("2001:db8::1", "2001:db8::ffff:1"))
    assert six["subnet"] == mate["subnet"] != dict(keys_of(SPEC, "ip", "2001:db8:0:1::1", HASHER))["subnet"]
    assert dict(keys_of(SPEC, "email", "j.d@GoogleMail.com", HASHER))["email_domain"] == "gmail.com"


def test_a_public_kind_keeps_its_normalised_value_and_needs_no_key() -> None:
    assert entity_key(SPEC, "page", "  Main PAGE ", Hasher()) == "main page"
    with pytest.raises(HashKeyError, match=HASH_KEY_VARIABLE):
        entity_key(SPEC, "device", "d1", Hasher())


def test_the_hash_is_the_documented_one() -> None:
    expected = hmac.new(b"sixteen bytes ok", b"email\0janedoe@gmail.com", hashlib.sha256).hexdigest()[:32]
    assert entity_key(SPEC, "email", "Jane.Doe+x@googlemail.com", HASHER) == expected


@given(st.text(min_size=1, max_size=20))
def test_the_hash_depends_on_key_and_kind_and_hides_the_value(raw: str) -> None:
    assume(raw.strip() != "")
    card = entity_key(SPEC, "card", raw, HASHER)
    assert len(card) == 32
    assert set(card) <= set("0123456789abcdef")
    assert entity_key(SPEC, "card", raw, OTHER) != card
    assert HASHER.key("other", raw.strip()) != card
    assert len(raw) < 4 or raw not in card


def test_the_key_comes_from_the_environment_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HASH_KEY_VARIABLE, "a secret of the house")
    hasher = Hasher.from_env()
    assert "secret" not in repr(hasher)
    assert hasher.fingerprint == Hasher.from_env().fingerprint
    assert hasher.fingerprint not in (HASHER.fingerprint, Hasher().fingerprint)
    monkeypatch.setenv(HASH_KEY_VARIABLE, "short")
    with pytest.raises(HashKeyError, match="too short"):
        Hasher.from_env()
    monkeypatch.delenv(HASH_KEY_VARIABLE)
    with pytest.raises(HashKeyError, match="is not set"):
        Hasher.from_env()
    assert Hasher.from_env(required=False).fingerprint == "none"


def test_one_path_for_a_column_and_for_a_value() -> None:
    raws = ["a.b+c@gmail.com", "AB@gmail.com", None, "", "nonsense", "x@bücher.example", "a.b+c@gmail.com"]
    columns = key_column(SPEC, "email", pl.Series("e", raws), HASHER)
    for at, raw in enumerate(raws):
        if raw in (None, "", "nonsense"):
            assert columns.keys[at] is None
            assert columns.derived["email_domain"][at] is None
        else:
            own, derived = keys_of(SPEC, "email", raw, HASHER)
            assert (columns.keys[at], columns.derived["email_domain"][at]) == (own[1], derived[1])
    assert (
        columns.reasons.to_list()
        == [None] * 4 + ["expected an e-mail address such as name@example.com"] + [None] * 2
    )


def test_each_distinct_value_is_normalised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counting(rule: str, region: str | None = None) -> Callable[[str], str]:
        def normalise(raw: str) -> str:
            calls.append(raw)
            return raw

        return normalise

    monkeypatch.setattr("graph_etl.identifiers.normaliser", counting)
    normalise_column(Kind(), pl.Series(["a", "b", "a", None] * 500))
    assert sorted(calls) == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pl.Series([7, None]), ["7", None]),
        (pl.Series([7.0, 7.5, float("nan"), 1e18]), ["7", "7.5", None, "1000000000000000000"]),
        (pl.Series([True, False]), ["true", "false"]),
        (pl.Series([b"x", b"\xff\x00", None]), ["x", "ff00", None]),
        (pl.Series([[1, 2], None]), ["[1,2]", None]),
        (pl.Series([], dtype=pl.String), []),
    ],
)
def test_ids_of_any_type_are_written_as_text(values: pl.Series, expected: list[str | None]) -> None:
    assert as_text(values).to_list() == expected


def test_account_ids_stay_as_given_unless_they_are_secret() -> None:
    secret = SPEC.model_copy(update={"account_ids": SPEC.account_ids.model_copy(update={"secret": True})})
    assert account_key(SPEC, "User 7", HASHER) == "User 7"
    assert entity_key(SPEC, "account", "User 7", HASHER) == "User 7"
    assert account_key(secret, "User 7", HASHER) == HASHER.key("account", "User 7")


def test_an_unknown_kind_and_an_unreadable_identifier_are_typed_errors() -> None:
    with pytest.raises(SpecError, match="no kind 'devise'; did you mean 'device'"):
        entity_key(SPEC, "devise", "x", HASHER)
    with pytest.raises(IdentifierError, match="ip: expected an IPv4 or IPv6 address"):
        entity_key(SPEC, "ip", "somewhere", HASHER)
    with pytest.raises(IdentifierError, match="device: is blank"):
        entity_key(SPEC, "device", " ", HASHER)
