"""API keys: made once, shown once, hashed, revoked within a second."""

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringwatch import run
from scoring_service.database import Database, StoreUnavailable
from scoring_service.keys import (
    SCOPES,
    ApiKey,
    KeyNameInvalid,
    KeyNameTaken,
    KeyRepository,
    KeyRing,
    KeyUnknown,
    ScopeInvalid,
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    store = Database.open(tmp_path / "state.db")
    yield store
    store.close()


@pytest.fixture
def keys(database: Database) -> KeyRepository:
    """No key yet."""
    return KeyRepository(database)


def test_a_token_opens_and_nothing_else_does(database: Database, keys: KeyRepository) -> None:
    key, token = keys.create("shop", ["score", "label"])
    _, other = keys.create("console", ["read"])
    assert token.startswith("rw_")
    assert len(token) == 3 + 43  # 32 bytes in base64
    assert token != other
    with KeyRing(database) as ring:
        assert ring.authenticate(token) == key
        for wrong in ("", "rw_", token[:-1], token + "a", token.upper(), "\udcff", "x" * 10_000):
            assert ring.authenticate(wrong) is None


def test_only_a_hash_is_kept(database: Database, keys: KeyRepository, tmp_path: Path) -> None:
    _, token = keys.create("shop", ["score"])
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"shop" in stored
    assert token.encode() not in stored
    assert token[3:].encode() not in stored


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        (["score"], {"score"}),
        (["label", "read", "label"], {"label", "read"}),
        (["admin"], {"score", "label", "read", "admin"}),
    ],
)
def test_a_key_may_what_its_scopes_say(keys: KeyRepository, scopes: list[str], may: set[str]) -> None:
    key, _ = keys.create("k", scopes)
    assert {scope for scope in SCOPES if key.may(scope)} == may
    assert keys.all() == [key]


@pytest.mark.parametrize("name", ["", "-a", "a b", "a" * 65, "ä", "a/b"])
def test_a_name_is_short_and_plain(keys: KeyRepository, name: str) -> None:
    with pytest.raises(KeyNameInvalid):
        keys.create(name, ["score"])


@pytest.mark.parametrize("scopes", [[], ["scores"], ["score", "root"]])
def test_scopes_are_those_that_there_are(keys: KeyRepository, scopes: list[str]) -> None:
    with pytest.raises(ScopeInvalid, match="score, label, read, admin"):
        keys.create("k", scopes)
    assert keys.all() == []


def test_a_name_is_used_once_also_after_it_was_revoked(keys: KeyRepository) -> None:
    keys.create("k", ["score"])
    revoked = keys.revoke("k")
    assert revoked.revoked_ms is not None
    assert keys.revoke("k") == revoked
    with pytest.raises(KeyNameTaken):
        keys.create("k", ["score"])
    with pytest.raises(KeyUnknown):
        keys.revoke("other")


def test_a_running_service_sees_a_new_key_and_a_revoked_one_within_a_second(
    database: Database, keys: KeyRepository
) -> None:
    with KeyRing(database) as ring:
        assert not ring.has_keys()
        _, token = keys.create("k", ["score"])
        assert within_s(1.0, lambda: ring.authenticate(token) is not None)
        keys.revoke("k")
        assert within_s(1.0, lambda: ring.authenticate(token) is None)
        # Taking the last key away must not open the service.
        assert ring.has_keys()


def test_keys_that_were_read_count_while_the_store_is_away(
    database: Database, keys: KeyRepository, tmp_path: Path
) -> None:
    _, token = keys.create("k", ["score"])
    with KeyRing(database) as ring:
        with sqlite3.connect(tmp_path / "state.db") as other:
            other.execute("ALTER TABLE api_keys RENAME TO elsewhere")
        other.close()
        with pytest.raises(StoreUnavailable):
            ring.refresh()
        assert isinstance(ring.authenticate(token), ApiKey)


def within_s(limit_s: float, is_so: object) -> bool:
    """Whether something comes true in time."""
    assert callable(is_so)
    deadline = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_the_command_makes_lists_and_revokes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = ["--workspace", str(tmp_path / "w")]

    def said(*words: str) -> dict[str, object]:
        capfd.readouterr()
        assert run(["keys", *words, *place, "--json"]) == 0
        result: dict[str, object] = json.loads(capfd.readouterr().out)["result"]
        return result

    assert said("list") == {"keys": []}
    made = said("create", "shop", "--scope", "label", "--scope", "score")
    token = made.pop("token")
    assert made == {
        "name": "shop",
        "scopes": ["score", "label"],
        "created": made["created"],
        "revoked": None,
    }
    assert said("list") == {"keys": [made]}
    database = Database.open(tmp_path / "w" / "state.db")
    with KeyRing(database) as ring:
        assert ring.authenticate(str(token)) is not None
        assert said("revoke", "shop")["revoked"] is not None
        ring.refresh()
        assert ring.authenticate(str(token)) is None
    database.close()


def test_the_command_shows_a_token_alone_on_stdout(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = ["--workspace", str(tmp_path)]
    assert run(["keys", "create", "shop", "--scope", "admin", *place]) == 0
    out = capfd.readouterr()
    (token,) = out.out.splitlines()
    assert token.startswith("rw_")
    assert "only now" in out.err
    assert run(["keys", "list", *place]) == 0
    assert "rw_" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["create", "a b", "--scope", "score"], "a key's name"),
        (["create", "a", "--scope", "all"], "score, label, read, admin, got all"),
        (["revoke", "nobody"], "no key 'nobody'"),
    ],
)
def test_a_wrong_order_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert run(["keys", *words, "--workspace", str(tmp_path)]) == 2
    error = capfd.readouterr().err
    assert says in error
    assert error.count("\n") == 1
