"""E-mails and phones are well formed, unique and belong to nobody."""

import numpy as np
import phonenumbers
from hypothesis import given
from hypothesis import strategies as st

from graph_etl.simulate.identities import Identities


@given(st.integers(0, 1_000))
def test_mail_belongs_to_reserved_domains_or_to_names_too_short_for_gmail(seed: int) -> None:
    identities = Identities(np.random.default_rng(seed))
    mails = [identities.email(throwaway=k % 2 == 0).lower() for k in range(60)]
    assert len(set(mails)) == 60
    for mail in mails:
        local, domain = mail.split("@")
        if domain == "gmail.com":
            assert len(local.split("+")[0].replace(".", "")) == 5
        else:
            assert domain.endswith(".example")


def test_aliases_are_one_mailbox() -> None:
    identities = Identities(np.random.default_rng(1))
    written = {identities.alias("q7k2f") for _ in range(30)}
    assert len(written) == 30
    assert {mail.split("@")[0].split("+")[0].replace(".", "") for mail in written} == {"q7k2f"}


def test_phones_are_valid_us_numbers_with_555_and_never_repeat() -> None:
    identities = Identities(np.random.default_rng(1))
    numbers = [phonenumbers.parse(identities.phone(), "US") for _ in range(8_000)]
    assert all(phonenumbers.is_valid_number(number) for number in numbers)
    assert len({number.national_number for number in numbers}) == 8_000
    assert {str(number.national_number)[3:6] for number in numbers} == {"555"}
