"""How two spellings of one identifier become one text: the rule of each kind.

Each rule maps text to text, changes nothing when applied twice, and gives None for blank text. An identifier
that cannot be read raises :class:`Unreadable`, whose message says why without repeating the identifier. The
work is bounded for each text, whatever is in it.

Sources: IPv6 text, RFC 5952; IPv4 inside IPv6, RFC 4291 (2.5.5.2) and RFC 6052 (2.1); phones, ITU-T E.164
through ``phonenumbers``; e-mail, :mod:`graph_etl.email_addresses`; text, :mod:`graph_etl.free_text`.
"""

from __future__ import annotations

import ipaddress
import re
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING

import phonenumbers

from graph_etl.email_addresses import mailbox
from graph_etl.free_text import folded

if TYPE_CHECKING:
    from collections.abc import Callable

# Longer texts are no identifiers; the limits also bound the work that one cell can cause.
_LONGEST = 4_096
_LONGEST_ADDRESS = 64
_MOST_DIGITS = 64
_LONGEST_PHONE = 64

_PLAIN_NUMBER = re.compile(r"\d{1,10}(\.\d{0,20})?([eE]\+?\d{1,2})?", re.ASCII)
_IPV4 = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?::\d{1,5}|/32)?", re.ASCII)
_IPV6 = re.compile(r"\[?([0-9a-fA-F:.]+)(?:%[\w.-]{1,32})?(?:\](?::\d{1,5})?|/128)?", re.ASCII)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# A number this small is some other number, or the beginning of an address ("10.1").
_LOWEST_IPV4, _HIGHEST_IPV4 = 1_000, 2**32 - 1
_UNSPECIFIED = frozenset({"0.0.0.0", "::"})
_WHOLE_DIGITS = re.compile(r"\+?\d+(\.0*)?", re.ASCII)
_INTERNATIONAL_PREFIX = re.compile(r"^(\+|00)?(?=\d)", re.ASCII)


class Unreadable(ValueError):
    """An identifier cannot be read as its kind."""


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


def derive(derived: str, normalised: str) -> str:
    """Derive an identifier from another.

    Args:
        derived: ``subnet`` (/24 of an IPv4, /64 of an IPv6 address) or ``email_domain``.
        normalised: A normalised address.

    Returns:
        The derived identifier.

    Example:
        >>> derive("subnet", "192.0.2.7")
        '192.0.2.0/24'
    """
    if derived == "email_domain":
        return normalised.rpartition("@")[2]
    if ":" in normalised:
        return str(ipaddress.IPv6Network((normalised, 64), strict=False))
    return f"{normalised.rpartition('.')[0]}.0/24"


def _text(raw: str) -> str | None:
    _check_length(raw, _LONGEST)
    text = folded(raw)
    # Some characters fold to many.
    _check_length(text, _LONGEST)
    return text or None


def _exact(raw: str) -> str | None:
    _check_length(raw, _LONGEST)
    return raw.strip() or None


def _number(raw: str) -> str | None:
    text = "".join(raw.split()) if len(raw) <= _LONGEST else raw
    if not text:
        return None
    _check_length(text, _MOST_DIGITS)
    try:
        number = Decimal(text)
    except InvalidOperation:
        msg = "expected a number"
        raise Unreadable(msg) from None
    if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        msg = f"expected a finite number of at most {_MOST_DIGITS} digits"
        raise Unreadable(msg)
    if number == 0:
        return "0"
    written = format(number, "f")
    written = written.rstrip("0").rstrip(".") if "." in written else written
    _check_length(written, _MOST_DIGITS)
    return written


def _ip(raw: str) -> str | None:
    _check_length(raw, _LONGEST_ADDRESS)
    text = raw.strip()
    if not text:
        return None
    quads = _IPV4.fullmatch(text)
    if quads is not None:
        parts = [int(part) for part in quads.groups()]
        if max(parts) > 255:
            msg = "a part of the IPv4 address is larger than 255"
            raise Unreadable(msg)
        found = ".".join(map(str, parts))
    elif _PLAIN_NUMBER.fullmatch(text):
        found = _ip_from_number(text)
    else:
        found = _ipv6(text)
    return None if found in _UNSPECIFIED else found


def _ipv6(text: str) -> str:
    inside = _IPV6.fullmatch(text)
    try:
        address = ipaddress.IPv6Address(inside[1] if inside is not None else "")
    except ValueError:
        msg = "expected an IPv4 or IPv6 address"
        raise Unreadable(msg) from None
    if address in _NAT64:
        return str(ipaddress.IPv4Address(int(address) & _HIGHEST_IPV4))
    return str(address.ipv4_mapped or address)


def _ip_from_number(text: str) -> str:
    """An IPv4 address written as one number, maybe rounded, as some exports do: 732758368.8."""
    number = int(Decimal(text).to_integral_value())
    if not _LOWEST_IPV4 <= number <= _HIGHEST_IPV4:
        msg = f"as a number, an IPv4 address lies between {_LOWEST_IPV4} and {_HIGHEST_IPV4}"
        raise Unreadable(msg)
    return str(ipaddress.IPv4Address(number))


def _email(raw: str) -> str | None:
    try:
        return mailbox(raw)
    except ValueError as error:
        raise Unreadable(str(error)) from None


def _phone(raw: str, region: str | None) -> str | None:
    _check_length(raw, _LONGEST_PHONE)
    text = raw.strip()
    if not text:
        return None
    if _WHOLE_DIGITS.fullmatch(text):
        text = text.partition(".")[0]
    number = _parsed_phone(text, region)
    if number is None or not phonenumbers.is_possible_number(number):
        # A number that does not fit its region may be an international one without its plus.
        number = _parsed_phone(_INTERNATIONAL_PREFIX.sub("+", text), None)
        if number is None or not phonenumbers.is_valid_number(number):
            where = (
                f"of region {region}, or one that starts with + and the country"
                if region
                else "with + and country"
            )
            msg = f"expected a phone number {where}"
            raise Unreadable(msg)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _parsed_phone(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None


def _check_length(text: str, longest: int) -> None:
    if len(text) > longest:
        msg = f"longer than {longest:,} characters"
        raise Unreadable(msg)
