"""A spec is read as it was meant, or refused with the place and the nearest key."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from graph_etl.errors import RingwatchError, SpecError
from graph_etl.spec import Kind, Spec, duration_ms, load_spec, parse_spec

SPEC = """\
ringwatch: 1
name: shop
sources:
  users: {path: users.csv}
  logins: {path: [logins-*.csv.gz, late.csv]}
kinds:
  device: {normalise: text}
  ip: {normalise: ip, derive: [subnet]}
  email: {normalise: email, derive: email_domain, public: true}
accounts:
  - source: users
    id: user_id
    time: created_at
    identifiers: {device: device_id, ip: [ip, last_ip]}
    attributes: {age: number, land: {column: country, type: category}}
events:
  - source: logins
    type: login
    from: {account: user_id}
    time: {column: at, unit: ms}
    identifiers: {device: device_id}
verdicts:
  - source: users
    account: user_id
    label: banned
    bad: [yes]
    good: [no, 0]
    delay: 7d
"""


def error_of(text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "shop/spec.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return caught.value


def changed(old: str, new: str) -> str:
    assert SPEC.count(old) >= 1
    return SPEC.replace(old, new, 1)


def test_short_forms_mean_the_long_ones() -> None:
    spec = parse_spec(SPEC)
    account, event = spec.accounts[0], spec.events[0]
    assert account.type.constant == "signup"
    assert account.identifiers == {"device": ("device_id",), "ip": ("ip", "last_ip")}
    assert (account.attributes["age"].column, account.attributes["age"].type) == ("age", "number")
    assert (account.attributes["land"].column, account.attributes["land"].type) == ("country", "category")
    assert (event.from_.column, event.from_.account, event.from_.kind) == ("user_id", True, None)
    assert spec.sources["logins"].path == ("logins-*.csv.gz", "late.csv")
    assert spec.sources["logins"].format_name == "csv"


def test_words_that_yaml_would_turn_into_flags_and_numbers_stay_words() -> None:
    verdict = parse_spec(SPEC).verdicts[0]
    assert verdict.bad == ("yes",)
    assert verdict.good == ("no", "0")


def test_derived_kinds_are_declared_and_as_public_as_what_they_come_from() -> None:
    kinds = parse_spec(SPEC).kinds
    assert kinds["subnet"] == Kind(identifier=False, public=False, normalise="exact")
    assert kinds["email_domain"] == Kind(identifier=False, public=True, normalise="exact")


def test_a_time_column_takes_what_it_does_not_say_from_times() -> None:
    spec = parse_spec(SPEC + "times: {unit: h, format: '%d.%m.%Y', timezone: Europe/Berlin}\n")
    created, at = spec.accounts[0].time, spec.events[0].time
    assert created is not None
    assert at is not None
    assert (created.unit, created.format, created.timezone) == ("h", "%d.%m.%Y", "Europe/Berlin")
    assert (at.column, at.unit, at.format) == ("at", "ms", "%d.%m.%Y")


def test_moments_follow_from_whether_there_are_times() -> None:
    untimed = SPEC.replace("    time: created_at\n", "").replace("    time: {column: at, unit: ms}\n", "")
    assert parse_spec(SPEC).moments == ("signup", "retrospective")
    assert parse_spec(untimed).moments == ("retrospective",)
    problem = error_of(untimed + "moments: [signup, retrospective]\n")
    assert "no account or event has a time" in problem.problem


def test_both_ends_of_an_interaction_may_be_accounts_or_entities() -> None:
    spec = parse_spec(
        dedent("""\
        ringwatch: 1
        name: bridge
        sources: {transfers: transfers.csv}
        kinds: {wallet: {public: true, normalise: exact, identifier: false}}
        events:
          source: transfers
          type: {columns: [kind, chain]}
          from: {account: src, otherwise: wallet}
          to: {wallet: dst}
          count: n
        """)
    )
    event = spec.events[0]
    assert event.to is not None
    assert (event.from_.account, event.from_.kind, event.to.account, event.to.kind) == (
        True,
        "wallet",
        False,
        "wallet",
    )
    assert event.type.columns == ("kind", "chain")
    assert spec.columns_of("transfers") == ("src", "dst", "n", "kind", "chain")
    assert not spec.needs_key


def test_a_key_is_needed_as_soon_as_a_kind_in_use_is_not_public() -> None:
    public = SPEC.replace("normalise: text}", "normalise: text, public: true}").replace(
        "derive: [subnet]}", "public: true}"
    )
    assert parse_spec(SPEC).needs_key
    assert not parse_spec(public).needs_key
    assert parse_spec(public + "account_ids: {secret: true}\n").needs_key


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "problem"),
    [
        pytest.param(
            "    identifiers: {device: device_id, ip",
            "    identifer: {device: device_id, ip",
            14,
            5,
            "unknown key 'identifer' in accounts[0]; did you mean 'identifiers'?",
            id="key",
        ),
        pytest.param(
            "sources:", "source:", 3, 1, "unknown key 'source' in the spec; did you mean 'sources'?", id="top"
        ),
        pytest.param(
            "unit: ms",
            "units: ms",
            20,
            24,
            "unknown key 'units' in events[0].time; did you mean 'unit'?",
            id="inner",
        ),
        pytest.param("    id: user_id\n", "", 11, 5, "'id' is missing in accounts[0]; add it", id="missing"),
        pytest.param(
            "normalise: ip,",
            "normalise: ipp,",
            8,
            19,
            "expected text, exact, ip, email, phone, number, got 'ipp'; did you mean 'ip'?",
            id="value",
        ),
        pytest.param(
            "source: logins",
            "source: login",
            17,
            13,
            "events[0].source names source 'login', which is not declared; did you mean 'logins'?",
            id="source",
        ),
        pytest.param(
            "    identifiers: {device: device_id}",
            "    identifiers: {devise: device_id}",
            21,
            27,
            "uses kind 'devise', which `kinds` does not declare; did you mean 'device'?",
            id="kind",
        ),
        pytest.param(
            "from: {account: user_id}",
            "from: {acount: user_id}",
            19,
            20,
            "uses kind 'acount', which `kinds` does not declare; did you mean 'account'?",
            id="account",
        ),
        pytest.param(
            "delay: 7d",
            "delay: 7 days",
            28,
            12,
            "verdicts[0].delay: expected a duration such as 90s, 5m, 1h or 7d, got '7 days'",
            id="duration",
        ),
        pytest.param(
            "[no, 0]", "[no, yes]", 27, 5, "verdicts[0].good: 'yes' is both bad and good", id="contradiction"
        ),
        pytest.param(
            "{device: device_id}",
            "{device: }",
            21,
            19,
            "events[0].identifiers.device: expected a value",
            id="nothing",
        ),
    ],
)
def test_an_error_names_the_place_and_what_was_meant(
    old: str, new: str, line: int, column: int, problem: str
) -> None:
    error = error_of(changed(old, new))
    assert (error.line, error.column) == (line, column)
    assert problem in error.problem
    assert str(error).startswith(f"shop/spec.yaml:{line}:{column}: ")
    assert isinstance(error, RingwatchError)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "expected keys such as", id="empty"),
        pytest.param("- a\n- b\n", "expected keys such as", id="list"),
        pytest.param("name: [a\n", "not valid YAML", id="bracket"),
        pytest.param("name: a\nname: b\n", "key 'name' stands here twice", id="twice"),
        pytest.param("a: \x07\n", "not valid YAML", id="control"),
        pytest.param("a: &a [*a]\n", "too deep", id="endless"),
        pytest.param(
            "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
                for a, b in zip("abcdef", "bcdefg", strict=True)
            ),
            "too large",
            id="bomb",
        ),
    ],
)
def test_what_is_no_spec_at_all_is_one_clear_line(text: str, problem: str) -> None:
    assert problem in error_of(text).problem


def test_all_problems_are_counted_and_the_first_in_the_file_is_shown() -> None:
    error = error_of("moments: [sometimes]\n" + changed("    id: user_id\n", ""))
    assert error.line == 1
    assert error.more == 1
    assert str(error).endswith("(and 1 more problem)")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{path: users.xls}", "cannot tell the format of 'users.xls'"),
        ("{path: [a.csv, b.parquet]}", "one source has one format, got csv, parquet"),
        ("{path: a.npz}", "needs either arrays"),
        ("{path: a.npz, sparse: net, arrays: {a: b}}", "needs either arrays"),
        ("{path: a.csv, arrays: {a: b}}", "arrays is for npz files only, these are csv"),
        ("{path: a.jsonl, delimiter: ';'}", "delimiter is for csv files only, these are jsonl"),
        ("{path: []}", "expected at least one"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused(source: str, problem: str) -> None:
    assert problem in error_of(changed("{path: users.csv}", source)).problem


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ("from: {account: a}", "says nothing"),
        ("from: {device: a}\n    identifiers: {ip: b}", "identifiers belong to the account in `from`"),
        ("from: {account: a, device: b}", "unknown key 'device'"),
        ("from: {device: a, ip: b}", "expected one kind, got device and ip"),
        ("from: a", "expected {account: COLUMN}"),
        (
            "from: {account: a}\n    to: {account: b}\n    amount: x\n    count: y",
            "an amount or a count, not both",
        ),
    ],
)
def test_an_event_that_cannot_be_meant_is_refused(event: str, problem: str) -> None:
    before, verdicts, after = SPEC.partition("verdicts:\n")
    error = error_of(f"{before}  - source: users\n    type: x\n    {event}\n{verdicts}{after}")
    assert problem in error.problem
    assert error.line in (22, 24, 25, 26, 27)


def test_a_type_may_not_pose_as_the_use_of_an_identifier() -> None:
    assert "reserved" in error_of(changed("type: login", "type: 'used:device'")).problem


def test_the_hash_is_of_the_meaning_only() -> None:
    same = parse_spec("# a comment\n" + SPEC + "title: A shop\n").spec_hash
    assert same == parse_spec(SPEC).spec_hash
    assert parse_spec(changed("unit: ms", "unit: s")).spec_hash != same


def test_numbered_splits_are_found_among_the_columns() -> None:
    text = SPEC + "splits: {source: users, train: 'train_{n}', test: 'test_{n}'}\n"
    splits = parse_spec(text).splits
    assert splits is not None
    available = ["train_10", "train_2", "test_2", "test_10", "train_x"]
    assert splits.columns(available) == [("train_2", None, "test_2"), ("train_10", None, "test_10")]
    assert "{n}" in error_of(text.replace("'test_{n}'", "test")).problem


def test_a_spec_cannot_be_changed() -> None:
    spec = parse_spec(SPEC)
    with pytest.raises(ValueError, match="frozen"):
        spec.__setattr__("name", "other")


def test_a_file_that_is_not_there_or_not_text_is_a_spec_error(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"title: caf\xe9\n")
    with pytest.raises(SpecError, match="no such file"):
        load_spec(tmp_path / "nowhere.yaml")
    with pytest.raises(SpecError, match="not UTF-8"):
        load_spec(tmp_path / "latin.yaml")
    with pytest.raises(SpecError, match=r"spec\.yaml"):
        load_spec(tmp_path)


def test_relative_paths_start_from_the_folder_of_the_spec(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    assert load_spec(tmp_path / "spec.yaml").folder == tmp_path


@pytest.mark.parametrize(
    ("text", "ms"), [("90s", 90_000), ("5m", 300_000), ("1h", 3_600_000), ("7d", 604_800_000)]
)
def test_durations(text: str, ms: int) -> None:
    assert duration_ms(text) == ms


@given(st.text(min_size=1, max_size=12).filter(str.isprintable))
def test_any_unknown_key_is_refused_in_one_line_with_its_place(key: str) -> None:
    assume(key not in {field.alias or name for name, field in Spec.model_fields.items()})
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    error = error_of(f'{SPEC}"{quoted}": 1\n')
    assert error.line == 29
    assert f"unknown key '{key}' in the spec" in error.problem
