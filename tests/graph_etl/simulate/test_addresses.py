"""Addresses come from ranges that belong to nobody, and change as those of real homes do."""

import ipaddress

import numpy as np
import pytest

from graph_etl.simulate.addresses import Addresses
from graph_etl.simulate.config import Honest

DAY_S = 86_400


def _addresses(**changes: float) -> Addresses:
    return Addresses(Honest.model_validate(changes), 1_000, np.random.default_rng(5))


def test_nothing_is_globally_routable() -> None:
    addresses, rng = _addresses(), np.random.default_rng(6)
    some = np.arange(40) % 2
    homes = [addresses.new_home() for _ in range(400)]
    codes = [
        *addresses.home_ips(homes, [k * 3_600 for k in range(400)]),
        *addresses.campus_ips(some, rng),
        *addresses.cafe_ips(some),
        *addresses.mobile_ips(some, rng),
        *addresses.vpn_ips(40, rng),
        *addresses.proxy_ips(40, rng),
        addresses.rent_subnet() + 7,
    ]
    texts = {addresses.text(int(code)) for code in codes}
    assert len(texts) > 300
    assert not any(ipaddress.ip_address(text).is_global for text in texts)


def test_a_static_home_keeps_its_address_and_shares_it_with_no_other() -> None:
    addresses = _addresses()
    homes = [addresses.new_home(static=True) for _ in range(500)]
    first = addresses.home_ips(homes, [0] * 500)
    assert len(set(first.tolist())) == 500
    assert (addresses.home_ips(homes, [50 * DAY_S] * 500) == first).all()
    assert all(addresses.is_static(home) for home in homes)


def test_a_dynamic_home_gets_a_new_address_of_its_subnet_every_four_days() -> None:
    addresses = _addresses(dynamic_ip_share=1.0, ipv6_share=0.0)
    home = addresses.new_home()
    days = np.arange(60)
    codes = addresses.home_ips(np.full(60, home), days * DAY_S)
    assert len(set((codes // 256).tolist())) == 1
    assert 14 <= len(set(codes.tolist())) <= 16


def test_an_ipv6_home_keeps_its_64_while_its_devices_change_theirs() -> None:
    addresses = _addresses(dynamic_ip_share=0.0, ipv6_share=1.0)
    home = addresses.new_home()
    texts = [addresses.text(int(c)) for c in addresses.home_ips([home] * 9, np.arange(9) * DAY_S)]
    networks = {ipaddress.ip_network(f"{text}/64", strict=False) for text in texts}
    assert len(set(texts)) == 9
    assert len(networks) == 1
    assert networks.pop().subnet_of(ipaddress.IPv6Network("2001:db8::/32"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        pytest.param(10 << 24, "10.0.0.0", id="ipv4"),
        pytest.param((1 << 62) + (1 << 16) + 2, "2001:db8:0:1::2", id="ipv6"),
    ],
)
def test_codes_as_text(code: int, text: str) -> None:
    assert Addresses.text(code) == text
