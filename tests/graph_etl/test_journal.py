"""Rows of the journal: what is written comes back, equal contents are equal bytes."""

import pytest

from graph_etl import (
    NO_TIME,
    Content,
    JournalRowError,
    LiveCut,
    LiveErasure,
    LiveEvent,
    LiveSwitch,
    LiveVerdict,
    decode,
    encode,
    kind_of,
)

CONTENTS: list[Content] = [
    LiveEvent("login", "a1", NO_TIME),
    LiveEvent(
        "signup",
        "a1",
        1_700_000_000_000,
        event_id="e-1",
        identifiers=(("ip", "192.0.2.7"), ("subnet", "192.0.2.0/24")),
        interactions=(("invite", "account", "a0", 1.0), ("payment", "merchant", "m", 0.1)),
        attributes={"age": 0.25, "country": "PT", "vip": True},
    ),
    LiveVerdict("a1", 1, 5, "analyst", "bonus_abuse", "same flat"),
    LiveVerdict("a1", 0, 5, "appeal"),
    LiveVerdict("a1", None, 5, "analyst"),
    LiveCut("a1", "a2", None),
    LiveCut("a1", "a2", 0, undone=True, reason="siblings"),
    LiveSwitch("s1", None, None),
    LiveSwitch("s1", "b1", "r1"),
    LiveErasure("tombstone"),
]


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: kind_of(content))
def test_what_is_written_comes_back(content: Content) -> None:
    payload = encode(content)
    again = decode(kind_of(content), payload)
    assert again == content
    assert encode(again) == payload


def test_flags_stay_flags_and_numbers_numbers() -> None:
    event = LiveEvent("signup", "a", 1, attributes={"flag": True, "one": 1.0})
    again = decode("event", encode(event))
    assert isinstance(again, LiveEvent)
    assert [type(value) for value in again.attributes.values()] == [bool, float]


def test_equal_contents_are_equal_bytes_whatever_the_order_of_attributes() -> None:
    one = LiveEvent("signup", "a", 1, attributes={"x": 1.0, "y": 2.0})
    other = LiveEvent("signup", "a", 1, attributes={"y": 2.0, "x": 1.0})
    assert encode(one) == encode(other)
    assert encode(LiveErasure("a")) == b'{"account":"a"}'


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(LiveEvent("a", "b", 1, attributes={"x": float("nan")}), id="attribute"),
        pytest.param(
            LiveEvent("a", "b", 1, interactions=(("p", "account", "c", float("inf")),)), id="interaction"
        ),
    ],
)
def test_a_number_that_json_cannot_hold_is_refused(event: LiveEvent) -> None:
    with pytest.raises(JournalRowError, match="no finite number; leave it out"):
        encode(event)


@pytest.mark.parametrize(
    ("kind", "payload", "told"),
    [
        pytest.param("sign", b"{}", "rows of kind 'sign' are unknown", id="kind"),
        pytest.param("event", b"{", "a row of kind event is damaged", id="json"),
        pytest.param("verdict", b'{"account":"a"}', "a row of kind verdict is damaged", id="field"),
        pytest.param("cut", b"[]", "a row of kind cut is damaged", id="shape"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_in_one_line(kind: str, payload: bytes, told: str) -> None:
    with pytest.raises(JournalRowError, match=told) as error:
        decode(kind, payload)
    assert "\n" not in str(error.value)
