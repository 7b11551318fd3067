"""How two spellings of one identifier become one text: the rules of each kind.

Each rule maps text to text, is idempotent, and gives None for blank text. An identifier that cannot be read
raises :class:`Unreadable`, whose message says why without repeating the identifier.

Sources: free text NFKC and case folding, Unicode Standard Annex 15 and chapter 5.18; addresses, RFC 4291
and RFC 5952; mapped and embedded IPv4, RFC 4291 (2.5.5.2), 6052, 3056 and 4380; e-mail, RFC 5321 and the
providers' help pages; phones, ITU-T E.164 through ``phonenumbers``.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING

import phonenumbers

if TYPE_CHECKING:
    from collections.abc import Callable

# Longer texts are no identifiers; it also bounds the work that one cell can cause.
_LONGEST = 4_096
_WHOLE_FLOAT = re.compile(r"\d{1,10}(\.\d*)?([eE]\+?\d{1,2})?")
_IPV4 = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})")
_HIGHEST_IPV4 = 2**32 - 1


class Unreadable(ValueError):
    """An identifier cannot be read as its kind."""


def _text(raw: str) -> str | None:
    if len(raw) > _LONGEST:
        msg = f"longer than {_LONGEST:,} characters"
        raise Unreadable(msg)
    if raw.isascii():
        return " ".join(raw.lower().split()) or None
    return " ".join(_folded(raw).split()) or None


def _folded(raw: str) -> str:
    """NFKC case folding (Unicode, D146), repeated until it changes nothing."""
    before, now = "", raw
    # Three rounds settle every assigned character; the bound only guards against future ones.
    for _ in range(4):
        if before == now:
            break
        before = now
        kept = "".join(c for c in now if unicodedata.category(c) != "Cf")
        now = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", kept).casefold())
    return now


def _exact(raw: str) -> str | None:
    if len(raw) > _LONGEST:
        msg = f"longer than {_LONGEST:,} characters"
        raise Unreadable(msg)
    return raw.strip() or None


def _number(raw: str) -> str | None:
    text = raw.strip().replace(" ", "").replace("_", "")
    if not text:
        return None
    if len(text) > 64:
        msg = "longer than 64 characters, expected a number"
        raise Unreadable(msg)
    try:
        number = Decimal(text)
    except InvalidOperation:
        msg = "expected a number"
        raise Unreadable(msg) from None
    if not number.is_finite() or abs(number.adjusted()) > 64:
        msg = "expected a finite number of at most 64 digits"
        raise Unreadable(msg)
    if number == 0:
        return "0"
    written = format(number, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def _ip(raw: str) -> str | None:
    text = raw.strip().strip("[]")
    if not text:
        return None
    if len(text) > 64:
        msg = "expected an IPv4 or IPv6 address"
        raise Unreadable(msg)
    if _WHOLE_FLOAT.fullmatch(text):
        return _ip_from_number(text)
    quads = _IPV4.fullmatch(text)
    if quads:
        parts = [int(part) for part in quads.groups()]
        if max(parts) > 255:
            msg = "a part of the IPv4 address is larger than 255"
            raise Unreadable(msg)
        return ".".join(map(str, parts))
    try:
        address = ipaddress.IPv6Address(text.partition("%")[0])
    except ValueError:
        msg = "expected an IPv4 or IPv6 address"
        raise Unreadable(msg) from None
    return str(address.ipv4_mapped or address)


def _ip_from_number(text: str) -> str:
    """An IPv4 address written as one number, maybe rounded, as some exports do: 732758368.8."""
    number = int(Decimal(text).to_integral_value())
    if number > _HIGHEST_IPV4:
        msg = "the number is larger than any IPv4 address"
        raise Unreadable(msg)
    return str(ipaddress.IPv4Address(number))


def _subnet(address: str) -> str:
    if ":" in address:
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return address.rpartition(".")[0] + ".0/24"


def _email(raw: str) -> str | None:
    text = _text(raw)
    if text is None:
        return None
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or " " in text:
        msg = "expected an e-mail address such as name@example.com"
        raise Unreadable(msg)
    return f"{local.partition('+')[0] or local}@{domain}"


def _phone(raw: str, region: str | None) -> str | None:
    text = raw.strip()
    if not text:
        return None
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        msg = "expected a phone number"
        raise Unreadable(msg) from None
    if not phonenumbers.is_possible_number(number):
        msg = "too long or too short for a phone number of its country"
        raise Unreadable(msg)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normaliser(rule: str, region: str | None = None) -> Callable[[str], str | None]:
    """The function that normalises identifiers of a kind.

    Args:
        rule: ``text``, ``exact``, ``ip``, ``email``, ``phone`` or ``number``.
        region: Phones: region of numbers without a country code.

    Returns:
        Text to normalised text, None for blank text; raises :class:`Unreadable`.
    """
    if rule == "phone":
        return partial(_phone, region=region)
    return {"text": _text, "exact": _exact, "ip": _ip, "email": _email, "number": _number}[rule]


def derive(derived: str, normalised: str) -> str | None:
    """Derive an identifier from another.

    Args:
        derived: ``subnet`` (/24 of an IPv4, /64 of an IPv6 address) or ``email_domain``.
        normalised: A normalised address.

    Returns:
        The derived identifier.
    """
    return _subnet(normalised) if derived == "subnet" else normalised.rpartition("@")[2]
