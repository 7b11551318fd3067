"""What a simulated platform consists of: sizes, places, attacks, verdicts and faults, all validated."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from graph_etl.errors import RingwatchError
from graph_etl.spec.base import duration_ms


def _duration(value: Any) -> Any:
    return value if isinstance(value, timedelta) else timedelta(milliseconds=duration_ms(value))


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=2)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Households(_Part):
    """People who live together: one address, often a shared device, sign-ups days apart."""

    share: Share = 0.24
    size: tuple[Size, Size] = (2, 5)
    family_device_share: Share = 0.65
    same_evening_share: Share = 0.12


class Campus(_Part):
    """Students behind a few public addresses, some of them in a lab with shared computers."""

    sites: Count = 1
    accounts_per_site: Size = 300
    public_ips: Annotated[int, Field(ge=1)] = 2
    lab_devices: Annotated[int, Field(ge=1)] = 14
    lab_share: Share = 0.25


class Cafes(_Part):
    """Internet cafés: one address and a few devices that many visitors use."""

    sites: Count = 3
    accounts_per_site: Size = 40
    devices: Annotated[int, Field(ge=1)] = 9


class Mobile(_Part):
    """Mobile carriers that put thousands of customers behind a few addresses (carrier-grade NAT)."""

    carriers: Annotated[int, Field(ge=1)] = 2
    ips_per_carrier: Annotated[int, Field(ge=1)] = 5
    only_share: Share = 0.14
    also_share: Share = 0.45


class Vpn(_Part):
    """Customers of a VPN, who leave through a few addresses."""

    share: Share = 0.03
    exits: Annotated[int, Field(ge=1)] = 6


class Campaign(_Part):
    """A burst of honest sign-ups after an advertisement or a stream."""

    name: str
    day: Annotated[float, Field(ge=0)]
    accounts: Size
    window: Duration


class Honest(_Part):
    """How the honest players live and play."""

    households: Households = Households()
    campus: Campus = Campus()
    cafes: Cafes = Cafes()
    mobile: Mobile = Mobile()
    vpn: Vpn = Vpn()
    campaigns: tuple[Campaign, ...] = ()
    dynamic_ip_share: Share = 0.35
    ipv6_share: Share = 0.12
    second_hand_devices: Count = 24
    streamers: Count = 5
    leave_first_day_share: Share = 0.3
    logins_per_day: Annotated[float, Field(gt=0)] = 0.6


class _Attack(_Part):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    repeat: Annotated[int, Field(ge=1)] = 1
    accounts: Size
    day: Annotated[float, Field(ge=0)] | None = None
    found: Share | None = None

    @property
    def window_s(self) -> float:
        """Seconds that the sign-ups of one ring take; needed to place it inside the period."""
        return 0.0


class DeviceFarm(_Attack):
    """Many accounts on few devices in a tight burst.

    With ``scout``, an account of the same operator was banned days before; one member later
    uses the banned account's device.
    """

    tactic: Literal["device_farm"]
    devices: Annotated[int, Field(ge=1)]
    window: Duration
    scout: bool = False

    @property
    def window_s(self) -> float:
        """Seconds from the first to the last sign-up."""
        return self.window.total_seconds()


class SubnetFarm(_Attack):
    """One device per account, but one rented /24, one e-mail pattern and a steady rhythm."""

    tactic: Literal["subnet_farm"]
    interval: Duration

    @property
    def window_s(self) -> float:
        """Seconds from the first to the last sign-up, about."""
        return self.interval.total_seconds() * self.accounts * 1.15


class DripFarm(_Attack):
    """A few accounts a day on a few devices, through ever new home addresses."""

    tactic: Literal["drip_farm"]
    devices: Annotated[int, Field(ge=1)]
    days: Annotated[float, Field(gt=0)]

    @property
    def window_s(self) -> float:
        """Seconds from the first to the last sign-up."""
        return self.days * 86_400


class Funnel(_Attack):
    """Accounts with nothing in common that pass their welcome bonus to one or two beneficiaries."""

    tactic: Literal["funnel"]
    beneficiaries: Annotated[int, Field(ge=1)] = 1
    days: Annotated[float, Field(gt=0)]

    @property
    def window_s(self) -> float:
        """Seconds from the first to the last sign-up."""
        return self.days * 86_400


class CgnatFarm(_Attack):
    """A farm that hides among the thousands behind a mobile carrier's addresses."""

    tactic: Literal["cgnat_farm"]
    accounts_per_device: Annotated[int, Field(ge=1)] = 3
    window: Duration

    @property
    def window_s(self) -> float:
        """Seconds from the first to the last sign-up."""
        return self.window.total_seconds()


class AliasFarm(_Attack):
    """Dots and tags make one mailbox look like many; devices and addresses differ."""

    tactic: Literal["alias_farm"]
    mailboxes: Annotated[int, Field(ge=1)] = 1
    days: Annotated[float, Field(gt=0)]

    @property
    def window_s(self) -> float:
        """Seconds from the first to the last sign-up."""
        return self.days * 86_400


class BanEvader(_Attack):
    """A player who is banned and comes back on the same device, with new e-mail and address.

    ``accounts`` is the largest number of accounts that one person makes.
    """

    tactic: Literal["ban_evader"]
    accounts: Annotated[int, Field(ge=2, le=6)] = 3
    same_device_share: Share = 0.85


class PaymentMules(_Attack):
    """Accounts that buy with a few stolen cards and gift the goods to a fence."""

    tactic: Literal["payment_mules"]
    cards: Annotated[int, Field(ge=1)]
    days: Annotated[float, Field(gt=0)]

    @property
    def window_s(self) -> float:
        """Seconds from the first to the last sign-up."""
        return self.days * 86_400


Attack = Annotated[
    DeviceFarm | SubnetFarm | DripFarm | Funnel | CgnatFarm | AliasFarm | BanEvader | PaymentMules,
    Field(discriminator="tactic"),
]


class Verdicts(_Part):
    """What the platform's own people found out, and when."""

    found_ring_share: Share = 0.6
    found_member_share: Share = 0.75
    reviewed_good_share: Share = 0.07
    wrong_bad: Count = 10
    wrong_good: Count = 5


class Faults(_Part):
    """Rows as real exports have them: unreadable, repeated, contradicting."""

    malformed_rows: Count = 22
    unreadable_cells: Count = 12
    repeated_rows: Count = 40
    conflicting_rows: Count = 2


class SimulationConfig(_Part):
    """A whole simulated platform; the same configuration and seed give the same bytes."""

    simulation: Annotated[Literal[1], BeforeValidator(lambda value: 1 if value == "1" else value)]
    name: str
    seed: Annotated[int, Field(ge=0)] = 0
    start: datetime
    days: Annotated[int, Field(ge=7, le=3_650)] = 60
    accounts: Annotated[int, Field(ge=200)] = 5_000
    honest: Honest = Honest()
    attacks: tuple[Attack, ...] = ()
    verdicts: Verdicts = Verdicts()
    faults: Faults = Faults()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [attack.name for attack in self.attacks]
        for name in names:
            if names.count(name) > 1:
                msg = f"attacks: the name '{name}' is used twice; give every attack its own"
                raise ValueError(msg)
        for attack in self.attacks:
            latest_day = self.days - attack.window_s / 86_400
            if latest_day <= 0 or (attack.day is not None and attack.day > latest_day):
                msg = (
                    f"attacks: '{attack.name}' does not end within {self.days} days; "
                    f"start it on day {max(latest_day, 0):.2f} or before, or shorten it"
                )
                raise ValueError(msg)
        for campaign in self.honest.campaigns:
            if campaign.day + campaign.window.total_seconds() / 86_400 > self.days:
                msg = f"campaigns: '{campaign.name}' does not end within {self.days} days; start it earlier"
                raise ValueError(msg)
        bad = sum(attack.repeat * (attack.accounts + 2) for attack in self.attacks)
        if bad > self.accounts // 2:
            msg = f"attacks need up to {bad} accounts, more than half of {self.accounts}; raise accounts"
            raise ValueError(msg)
        return self

    @property
    def start_utc(self) -> datetime:
        """First moment of the simulated period, in UTC."""
        return _utc(self.start)

    @property
    def end_utc(self) -> datetime:
        """End of the simulated period (exclusive), in UTC."""
        return self.start_utc + timedelta(days=self.days)

    def scaled(self, accounts: int) -> "SimulationConfig":
        """Return the same platform at another size.

        Rings, sites, carriers' addresses and faults become more, not larger, so that a farm of 14
        stays a farm of 14.

        Args:
            accounts: Number of accounts wanted.

        Returns:
            A configuration in which all counts grow with ``accounts``.

        Raises:
            RingwatchError: If so few accounts leave no room for the attacks.
        """
        ratio = accounts / self.accounts

        def more(count: int) -> int:
            return max(1, round(count * ratio)) if count else 0

        honest = self.honest
        document = self.model_dump()
        document["accounts"] = accounts
        document["honest"]["campus"]["sites"] = more(honest.campus.sites)
        document["honest"]["cafes"]["sites"] = more(honest.cafes.sites)
        document["honest"]["mobile"]["carriers"] = more(honest.mobile.carriers)
        document["honest"]["vpn"]["exits"] = more(honest.vpn.exits)
        document["honest"]["second_hand_devices"] = more(honest.second_hand_devices)
        document["honest"]["streamers"] = more(honest.streamers)
        for campaign in document["honest"]["campaigns"]:
            campaign["accounts"] = max(2, more(campaign["accounts"]))
        for attack in document["attacks"]:
            attack["repeat"] = more(attack["repeat"])
        for part, keys in (
            ("verdicts", ("wrong_bad", "wrong_good")),
            ("faults", tuple(document["faults"])),
        ):
            for key in keys:
                document[part][key] = more(document[part][key])
        try:
            return SimulationConfig.model_validate(document)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            msg = f"a platform of {accounts} accounts cannot be simulated: {problem}"
            raise RingwatchError(msg) from None
