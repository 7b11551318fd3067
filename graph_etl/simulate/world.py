"""The state of the simulated platform while it grows: accounts, what they do, and who runs them."""

import zlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from graph_etl.simulate.addresses import Addresses
from graph_etl.simulate.config import SimulationConfig
from graph_etl.simulate.identities import Identities

DAY_S = 86_400
PRODUCTS_EUR = {
    "starter_pack": 4.99,
    "gold_500": 9.99,
    "season_pass": 14.99,
    "gold_1200": 19.99,
    "gold_5000": 79.99,
}
COUNTRIES = ("DE", "FR", "PL", "US", "BR", "PH")
UTC_OFFSET_H = (1, 1, 1, -5, -3, 8)
CLIENTS = ("android", "web", "ios", "console")


@dataclass(slots=True)
class Account:
    """One account and the person's habits; seconds count from the start of the simulation."""

    signup_s: int
    place: str
    country: int
    devices: tuple[int, ...]
    email: str
    home: int = -1
    site: int = -1
    carrier: int = 0
    p_mobile: float = 0.0
    p_site: float = 0.0
    p_vpn: float = 0.0
    shared_device: int = -1
    p_shared: float = 0.0
    phone: str | None = None
    card: int = -1
    client: int = 0
    campaign: str | None = None
    form_s: float = 45.0
    newsletter: bool = False
    leave_s: int = 0
    logins_per_day: float = 0.0
    gifts: float = 0.0
    pays: float = 0.0
    ring: str = ""
    signup_device: int = -1
    signup_ip: int = -1
    banned_s: int = -1


@dataclass(slots=True)
class Ring:
    """Accounts that one operator controls, as the simulation knows it."""

    name: str
    plan: str
    tactic: str
    accounts: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Verdict:
    """A decision of the platform's people; ``known_s`` counts from the start."""

    account: int
    good: bool
    known_s: int
    reason: str


class World:
    """Everything that exists so far.

    Args:
        config: The configuration.

    Attributes:
        accounts: All accounts in the order of their making; an account's number is its place here.
        household_members: Those accounts that live in households.
        rings: The rings of bad actors.
        logins: ``(account, at_s, device, ip code)`` each.
        gifts: ``(sender, at_s, receiver, coins)`` each.
        payments: ``(account, at_s, card, product)`` each.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self.config = config
        self.end_s = config.days * DAY_S
        self.addresses = Addresses(config.honest, config.accounts, self.rng("addresses"))
        self.identities = Identities(self.rng("identities"))
        self.accounts: list[Account] = []
        self.household_members: list[int] = []
        self.rings: list[Ring] = []
        self.verdicts: list[Verdict] = []
        self.logins: list[npt.NDArray[np.int64]] = []
        self.gifts: list[tuple[int, int, int, int]] = []
        self.payments: list[tuple[int, int, int, str]] = []
        self.n_devices = 0
        self.n_cards = 0

    def rng(self, stage: str) -> np.random.Generator:
        """Return the randomness of one stage, so that a change in one leaves the others alone."""
        return np.random.default_rng([self.config.seed, zlib.crc32(stage.encode())])

    def new_device(self) -> int:
        """Return the number of a device that nobody used before."""
        self.n_devices += 1
        return self.n_devices - 1

    def new_card(self) -> int:
        """Return the number of a payment card that nobody used before."""
        self.n_cards += 1
        return self.n_cards - 1

    def add(self, account: Account) -> int:
        """Enrol an account and return its number."""
        self.accounts.append(account)
        return len(self.accounts) - 1

    def login(self, account: int, at_s: int, device: int, ip: int) -> None:
        """Note one log-in, unless the simulation ended before it."""
        if at_s < self.end_s:
            self.logins.append(np.array([[account, at_s, device, ip]], dtype=np.int64))

    def gift(self, sender: int, at_s: int, receiver: int, coins: int) -> None:
        """Note one gift, unless the simulation ended before it."""
        if at_s < self.end_s and sender != receiver:
            self.gifts.append((sender, at_s, receiver, coins))

    def pay(self, account: int, at_s: int, card: int, product: str) -> None:
        """Note one payment, unless the simulation ended before it."""
        if at_s < self.end_s:
            self.payments.append((account, at_s, card, product))

    def ban(self, account: int, known_s: int, reason: str) -> None:
        """Note a bad verdict, from which on the account is closed, if the simulation gets that far."""
        if known_s < self.end_s:
            self.verdicts.append(Verdict(account, good=False, known_s=known_s, reason=reason))
            self.accounts[account].banned_s = known_s
