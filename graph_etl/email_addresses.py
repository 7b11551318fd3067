"""E-mail addresses by mailbox: what each provider ignores does not count.

A tag after ``+`` is dropped everywhere (RFC 5233; where a provider knows no tags, no address holds a plus).
The rest follows what the providers say of their own addresses:

=====================  ==================================================================================
gmail                  dots mean nothing; googlemail.com is gmail.com
proton                 dots, hyphens and underscores mean nothing; protonmail.com and pm.me are proton.me
yahoo                  a hyphen starts a keyword
fastmail               anything@name.fastmail.com is name@fastmail.com
icloud                 me.com and mac.com are icloud.com
yandex                 a dot and a hyphen are the same; ya.ru and the country domains are yandex.ru
outlook and all else   only the tag is dropped; dots count
=====================  ==================================================================================
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from graph_etl.free_text import folded

_LONGEST = 320
_LONGEST_LOCAL = 64
_LOCAL = re.compile(r"[^\s@<>()\[\]\\,;:\"]+")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_OTHER_DOTS = str.maketrans("。｡", "..")


@dataclass(frozen=True, slots=True)
class _Provider:
    """How a provider reads addresses.

    Attributes:
        domain: The domain that stands for all of its domains; None: each stands for itself.
        ignored: Characters of the local part that mean nothing.
        tag: What starts a tag, beside the plus.
        same: Pairs of characters that mean the same, as ``"."`` and ``"-"``.
    """

    domain: str | None = None
    ignored: str = ""
    tag: str = ""
    same: tuple[str, str] | None = None


_GMAIL = _Provider("gmail.com", ignored=".")
_PROTON = _Provider("proton.me", ignored=".-_")
_YAHOO = _Provider(tag="-")
_APPLE = _Provider("icloud.com")
_YANDEX = _Provider("yandex.ru", same=(".", "-"))
_OTHER = _Provider()

_PROVIDERS = (
    dict.fromkeys(("gmail.com", "googlemail.com"), _GMAIL)
    | dict.fromkeys(("proton.me", "protonmail.com", "protonmail.ch", "pm.me"), _PROTON)
    | dict.fromkeys(("ymail.com", "rocketmail.com", "myyahoo.com"), _YAHOO)
    | dict.fromkeys(("icloud.com", "me.com", "mac.com"), _APPLE)
    | dict.fromkeys(("ya.ru", "narod.ru"), _YANDEX)
)
_YAHOO_DOMAIN = re.compile(r"yahoo\.(com?(\.[a-z]{2})?|[a-z]{2})")
_YANDEX_DOMAIN = re.compile(r"yandex\.(com(\.(am|ge|tr))?|ru|by|kz|ua|uz|az|lt|lv|md|tj|tm|ee|fr|co\.il)")
_FASTMAIL_DOMAIN = re.compile(
    r"(?:(?:.+\.)?(?P<name>[^.]+)\.)?(?P<domain>fastmail\.(com|fm|net|org|us|de|co\.uk|com\.au))"
)


def mailbox(raw: str) -> str | None:
    """The mailbox that an address leads to.

    Args:
        raw: An address, also as ``Name <name@example.com>`` or ``mailto:name@example.com``.

    Returns:
        The normalised address, its domain in ASCII (punycode); None if blank.

    Raises:
        ValueError: If it is no address; the message does not hold it.

    Example:
        >>> mailbox("Jane.Doe+games@GoogleMail.com")
        'janedoe@gmail.com'
    """
    if len(raw) > _LONGEST:
        msg = f"longer than {_LONGEST} characters, expected an e-mail address"
        raise ValueError(msg)
    text = folded(raw.translate(_OTHER_DOTS))
    if not text:
        return None
    if text.endswith(">") and "<" in text:
        text = text[text.rindex("<") + 1 : -1].strip()
    text = text.removeprefix("mailto:")
    local, at, domain = text.rpartition("@")
    if not at or len(local) > _LONGEST_LOCAL or _LOCAL.fullmatch(local) is None:
        msg = "expected an e-mail address such as name@example.com"
        raise ValueError(msg)
    return _by_provider(local, _ascii_domain(domain))


def _by_provider(local: str, domain: str) -> str:
    fastmail = _FASTMAIL_DOMAIN.fullmatch(domain)
    if fastmail is not None:
        domain = fastmail["domain"]
        local = fastmail["name"] if fastmail["name"] is not None else local
    provider = _provider(domain)
    local = _before(local, "+")
    if provider.tag:
        local = _before(local, provider.tag)
    kept = local.translate(str.maketrans("", "", provider.ignored)) or local
    if provider.same is not None:
        kept = kept.replace(*provider.same)
    return f"{kept}@{provider.domain or domain}"


def _provider(domain: str) -> _Provider:
    found = _PROVIDERS.get(domain)
    if found is not None:
        return found
    if _YAHOO_DOMAIN.fullmatch(domain):
        return _YAHOO
    return _YANDEX if _YANDEX_DOMAIN.fullmatch(domain) else _OTHER


def _before(local: str, mark: str) -> str:
    return local.partition(mark)[0] or local


def _ascii_domain(domain: str) -> str:
    if domain.startswith("[") and domain.endswith("]"):
        try:
            return f"[{ipaddress.ip_address(domain[1:-1].removeprefix('ipv6:'))}]"
        except ValueError:
            msg = "the address in brackets after @ is no IP address"
            raise ValueError(msg) from None
    try:
        written = domain.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        msg = "the part after @ is no domain"
        raise ValueError(msg) from None
    labels = written.split(".")
    if len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)):
        msg = "the part after @ is no domain such as example.com"
        raise ValueError(msg)
    return written
