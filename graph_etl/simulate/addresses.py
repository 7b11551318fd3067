"""Addresses of the simulated network: homes, campus, cafés, carriers, VPN exits, rented ranges.

Only ranges that belong to nobody are used: 10/8 and 172.16/12 (RFC 1918), 100.64/10 (RFC 6598),
198.18/15 (RFC 2544) and 2001:db8::/32 (RFC 3849).
"""

import ipaddress
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from graph_etl.simulate.config import Honest

Codes = npt.NDArray[np.int64]

_V6 = 1 << 62  # an address code from here on is an IPv6 address below 2001:db8::/32
_V6_PREFIX = 0x20010DB8 << 96
_HOME_BASE = int(ipaddress.IPv4Address("10.0.0.0"))
_CAFE_BASE = int(ipaddress.IPv4Address("172.16.0.0"))
_CAMPUS_BASE = int(ipaddress.IPv4Address("172.24.0.0"))
_CGNAT_BASE = int(ipaddress.IPv4Address("100.64.0.0"))
_VPN_BASE = int(ipaddress.IPv4Address("198.18.0.0"))
_RENTED_BASE = int(ipaddress.IPv4Address("198.19.0.0"))
_HOMES_PER_SUBNET = 30  # a provider's /24 holds strangers, so sharing one says little
_STATIC_HOSTS = (2, 120)
_DYNAMIC_HOSTS = (120, 250)
_LEASE_S = 4 * 86_400


class Addresses:
    """Hands out address codes (int64); :meth:`text` writes them as people know them.

    Args:
        honest: How people live; gives the shares of dynamic and IPv6 homes and the carriers.
        n_accounts: Size of the platform, from which the number of home subnets follows.
        rng: Source of randomness for the layout.
    """

    def __init__(self, honest: Honest, n_accounts: int, rng: np.random.Generator) -> None:
        self._honest = honest
        self._rng = rng
        self._n_subnets = max(8, n_accounts * 6 // 10 // _HOMES_PER_SUBNET)
        self._static_taken: set[int] = set()
        self._home_code: list[int] = []  # static address; base of the subnet if dynamic; prefix if IPv6
        self._home_sort: list[int] = []  # 0 static, 1 dynamic, 2 IPv6
        self._n_rented = 0

    def new_home(self, *, static: bool = False) -> int:
        """Connect one more home to the network.

        Args:
            static: Whether its address must be an IPv4 address that never changes.

        Returns:
            The home's number.
        """
        home = len(self._home_code)
        kind = self._rng.random()
        subnet = _HOME_BASE + 256 * int(self._rng.integers(self._n_subnets))
        if not static and kind < self._honest.ipv6_share:
            self._home_sort.append(2)
            self._home_code.append(_V6 + (int(self._rng.integers(1, 0xFFFF)) << 32) + ((home & 0xFFFF) << 16))
        elif not static and kind < self._honest.ipv6_share + self._honest.dynamic_ip_share:
            self._home_sort.append(1)
            self._home_code.append(subnet)
        else:
            code = subnet + int(self._rng.integers(*_STATIC_HOSTS))
            while code in self._static_taken:
                subnet = _HOME_BASE + 256 * int(self._rng.integers(self._n_subnets))
                code = subnet + int(self._rng.integers(*_STATIC_HOSTS))
            self._static_taken.add(code)
            self._home_sort.append(0)
            self._home_code.append(code)
        return home

    def is_static(self, home: int) -> bool:
        """Tell whether a home keeps one IPv4 address."""
        return self._home_sort[home] == 0

    def home_ips(self, homes: Sequence[int] | Codes, at_s: Sequence[int] | Codes) -> Codes:
        """Return the addresses of homes at given times.

        A dynamic home gets a new address in its subnet every four days; strangers may get the old one.

        Args:
            homes: Numbers of homes, (n,).
            at_s: Seconds since the start, (n,).

        Returns:
            Address codes, (n,).
        """
        number = np.asarray(homes, dtype=np.int64)
        time = np.asarray(at_s, dtype=np.int64)
        code = np.array([self._home_code[home] for home in number.tolist()], dtype=np.int64)
        sort = np.array([self._home_sort[home] for home in number.tolist()], dtype=np.int64)
        low, high = _DYNAMIC_HOSTS
        lease = (time + number * 7_919) // _LEASE_S
        leased = code + low + (number * 2_654_435 + lease * 40_503) % (high - low)
        privacy = code + 1 + (number * 31 + time // 86_400 * 7_907) % 0xFFFE
        return np.where(sort == 0, code, np.where(sort == 1, leased, privacy))

    def campus_ips(self, sites: Codes, rng: np.random.Generator) -> Codes:
        """Return public addresses of campuses, (n,), each drawn from the site's few."""
        return _CAMPUS_BASE + 256 * sites + rng.integers(1, 1 + self._honest.campus.public_ips, sites.size)

    def cafe_ips(self, sites: Codes) -> Codes:
        """Return the one address of each café, (n,)."""
        return _CAFE_BASE + 256 * sites + 1

    def mobile_ips(self, carriers: Codes, rng: np.random.Generator) -> Codes:
        """Return carrier-grade NAT addresses, (n,), each drawn from the carrier's few."""
        each = rng.integers(1, 1 + self._honest.mobile.ips_per_carrier, carriers.size)
        return _CGNAT_BASE + 65_536 * (carriers % 64) + 256 * (carriers // 64) + each

    def vpn_ips(self, n: int, rng: np.random.Generator) -> Codes:
        """Return exits of the VPN, (n,)."""
        exits = rng.integers(0, self._honest.vpn.exits, n)
        return _VPN_BASE + 256 * (exits // 3) + 10 + exits % 3

    def proxy_ips(self, n: int, rng: np.random.Generator) -> Codes:
        """Return addresses of strangers' homes, (n,), as a residential proxy sells them."""
        return _HOME_BASE + 256 * rng.integers(0, self._n_subnets, n) + rng.integers(2, 250, n)

    def rent_subnet(self) -> int:
        """Rent a fresh /24 and return the code of its first address."""
        self._n_rented += 1
        return _RENTED_BASE + 256 * ((self._n_rented - 1) % 256)

    @staticmethod
    def text(code: int) -> str:
        """Write an address code as text."""
        if code >= _V6:
            below = code - _V6
            network = (below >> 16) << 64
            return str(ipaddress.IPv6Address(_V6_PREFIX + network + (below & 0xFFFF)))
        return str(ipaddress.IPv4Address(code))
