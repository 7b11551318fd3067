"""A graph that somebody keeps in Neo4j is read out of it as the same graph that files give."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from graph_etl import DataError, RingwatchError, SpecError, Workspace, build
from graph_etl.neo4j_store import Target, connect, session
from graph_etl.neo4j_store.pages import open_answer
from graph_etl.spec import parse_spec
from ringwatch.local_neo4j import LocalNeo4j
from tests.building import PLATFORM_SPEC, TRANSFERS_SPEC, Built, build_from_text, platform_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_etl import Spec

FILES = platform_files()
_SOURCES_OF_FILES = PLATFORM_SPEC[PLATFORM_SPEC.index("sources:") : PLATFORM_SPEC.index("kinds:")]

# Somebody else's graph: its own labels, names and types, identifiers as nodes and as properties.
_CREATE = {
    "signups": """
        CREATE (u:User {id: row.account, joined: datetime(row.at), mail: row.email, country: row.country,
                        signup: row.event_id, form: toFloat(row.form_s), letters: row.newsletter = 'yes',
                        first_ip: row.ip})
        MERGE (g:Gadget {serial: row.device}) CREATE (u)-[:JOINED_ON]->(g)""",
    "logins": """
        MATCH (u:User {id: row.account}) MERGE (g:Gadget {serial: row.device})
        CREATE (u)-[:LOGGED_IN {id: row.event_id, at: datetime(row.at), ip: row.ip}]->(g)""",
    "gifts": """
        MATCH (a:User {id: row.sender}), (b:User {id: row.receiver})
        CREATE (a)-[:GAVE {id: row.event_id, at: datetime(row.at), coins: toInteger(row.coins)}]->(b)""",
    "verdicts": """
        MATCH (u:User {id: row.account})
        CREATE (:Case {outcome: row.verdict, closed: datetime(row.known_at), note: row.reason})-[:ON]->(u)""",
    "groups": """
        MATCH (u:User {id: row.account}) MERGE (t:Team {name: row.ring}) CREATE (u)-[:IN {at: at}]->(t)""",
}
_QUERIES = {
    "signups": """
        MATCH (u:User)-[:JOINED_ON]->(g:Gadget)
        RETURN u.signup AS event_id, u.id AS account, u.joined AS at, g.serial AS device, u.first_ip AS ip,
               u.mail AS email, u.country AS country, u.form AS form_s, u.letters AS newsletter
        ORDER BY at, account""",
    "logins": """
        MATCH (u:User)-[r:LOGGED_IN]->(g:Gadget)
        RETURN r.id AS event_id, u.id AS account, r.at AS at, g.serial AS device, r.ip AS ip ORDER BY at""",
    "gifts": """
        MATCH (a:User)-[r:GAVE]->(b:User)
        RETURN r.id AS event_id, a.id AS sender, b.id AS receiver, r.at AS at, r.coins AS coins
        ORDER BY at""",
    "verdicts": """
        MATCH (c:Case)-[:ON]->(u:User)
        RETURN u.id AS account, c.outcome AS verdict, c.closed AS known_at, c.note AS reason
        ORDER BY known_at""",
    "groups": "MATCH (u:User)-[r:IN]->(t:Team) RETURN u.id AS account, t.name AS ring ORDER BY r.at;",
}


@pytest.fixture
def environment(neo4j_database: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
    """An empty database that the environment names."""
    monkeypatch.setenv("NEO4J_URI", neo4j_database.uri)
    monkeypatch.setenv("NEO4J_USERNAME", neo4j_database.username)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_database.password)
    monkeypatch.delenv("NEO4J_DATABASE", raising=False)
    return neo4j_database


def _fill(target: Target, names: Sequence[str] = tuple(_CREATE)) -> None:
    with connect(target) as driver, session(driver, target) as opened:
        opened.run("CREATE INDEX user_id IF NOT EXISTS FOR (u:User) ON (u.id)").consume()
        opened.run("CREATE INDEX gadget IF NOT EXISTS FOR (g:Gadget) ON (g.serial)").consume()
        opened.run("CALL db.awaitIndexes(60)").consume()
        for name in names:
            rows = list(csv.DictReader(io.StringIO(FILES[f"{name}.csv"])))
            opened.run(
                f"UNWIND range(0, size($rows) - 1) AS at WITH at, $rows[at] AS row {_CREATE[name]}", rows=rows
            ).consume()


def _run(target: Target, query: str) -> list[dict[str, Any]]:
    with connect(target) as driver, session(driver, target) as opened:
        return opened.run(query).data()


def _spec_text(address: str | None = None) -> str:
    lines = ["sources:"]
    for name, query in _QUERIES.items():
        path = "" if address is None else f"    path: {address}\n"
        lines.append(f"  {name}:\n{path}    cypher: |{query if query[0].isspace() else '      ' + query}")
    text = "\n".join(lines).replace("cypher: |      ", "cypher: |\n      ")
    return PLATFORM_SPEC.replace(_SOURCES_OF_FILES, f"{text}\n")


def _spec(cypher: str, path: str = "neo4j:") -> Spec:
    return parse_spec(
        "ringwatch: 1\nname: asked\nkinds: {device: {public: true}}\n"
        "accounts: {source: users, id: user, time: joined, identifiers: {device: device}}\n"
        f"sources:\n  users:\n    path: '{path}'\n    cypher: \"{cypher}\"\n"
    )


def test_the_graph_is_the_one_that_files_give(
    environment: Target, timed_build: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(environment)
    monkeypatch.setattr("graph_etl.neo4j_store.pages.PAGE_ROWS", 100)
    spec = parse_spec(_spec_text(), tmp_path / "spec.yaml")
    workspace = Workspace(tmp_path / "workspace")
    report = build(spec, workspace)
    assert report.content_hash == timed_build.report.content_hash
    n_rows = {name: text.count("\n") - 1 for name, text in FILES.items()}
    assert report.files_read == sum(-(-rows // 100) for rows in n_rows.values())
    again = build(spec, workspace)
    assert (again.snapshot_id, again.files_read) == (report.snapshot_id, 0)


def test_raw_identifiers_never_rest_on_disk(environment: Target, tmp_path: Path) -> None:
    _fill(environment, ["signups"])
    text = _spec_text().replace("MATCH (u:User)-[r:LOGGED_IN]", "MATCH (u:Nobody)-[r:LOGGED_IN]")
    build(parse_spec(text, tmp_path / "spec.yaml"), Workspace(tmp_path / "workspace"))
    (mail,) = _run(environment, "MATCH (u:User {id: 'h007'}) RETURN u.mail AS mail, u.first_ip AS ip")
    found = [
        path
        for path in (tmp_path / "workspace").rglob("*")
        if path.is_file() and any(raw.encode() in path.read_bytes() for raw in mail.values())
    ]
    assert found == []
    assert environment.password not in text


def test_pages_of_any_size_give_one_graph(
    environment: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows without an event id that say the same are as many events as there are rows, in one page or two."""
    rows = "u1,2025-03-01T10:00:00Z,d1\n" * 3 + "u2,2025-03-01T11:00:00Z,d1\n" * 2
    text = (
        "ringwatch: 1\nname: asked\nkinds: {device: {public: true}}\n"
        "events: {source: uses, type: login, from: {account: user}, time: at,"
        " identifiers: {device: device}}\n"
    )
    files = build_from_text(
        tmp_path / "files", text + "sources: {uses: uses.csv}\n", {"uses.csv": "user,at,device\n" + rows}
    )
    assert files.report.events == 5
    cypher = (
        "UNWIND [['u1', 10], ['u1', 10], ['u1', 10], ['u2', 11], ['u2', 11]] AS u "
        "RETURN u[0] AS user, datetime({year: 2025, month: 3, day: 1, hour: u[1]}) AS at, 'd1' AS device"
    )
    spec = parse_spec(text + f'sources: {{uses: {{cypher: "{cypher}"}}}}\n')
    for page in (1, 2, 4, 100):
        monkeypatch.setattr("graph_etl.neo4j_store.pages.PAGE_ROWS", page)
        report = build(spec, Workspace(tmp_path / f"pages-{page}"))
        assert (report.events, report.content_hash) == (5, files.report.content_hash)


def test_an_appended_answer_takes_the_place_of_the_earlier_one(
    environment: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph_etl.neo4j_store.pages.PAGE_ROWS", 2)
    create = "CREATE (:User {{id: '{}', joined: datetime('2025-03-0{}T00:00Z'), device: 'd'}})"
    for day in range(1, 6):
        _run(environment, create.format(f"u{day}", day))
    spec = _spec("MATCH (u:User) RETURN u.id AS user, u.joined AS joined, u.device AS device ORDER BY joined")
    workspace = Workspace(tmp_path / "workspace")
    first = build(spec, workspace)
    before = workspace.open_snapshot()
    for day in range(6, 8):
        _run(environment, create.format(f"a{day}", day))
    report = build(spec, workspace, append=True)
    # Of rows 1-2, 3-4, 5: the last page has grown, and one more came.
    assert (first.accounts, first.files_read) == (5, 3)
    assert (report.accounts, report.files_read, report.files_reused) == (7, 2, 2)
    assert report.rows == 7
    assert report.content_hash == build(spec, Workspace(tmp_path / "anew")).content_hash
    after = workspace.open_snapshot()
    assert [after.account_index(f"u{day}") for day in range(1, 6)] == [
        before.account_index(f"u{day}") for day in range(1, 6)
    ]


def test_values_of_every_sort_are_read(environment: Target, tmp_path: Path) -> None:
    spec = parse_spec(
        "ringwatch: 1\nname: asked\nkinds: {device: {public: true}}\n"
        "times: {timezone: Europe/Berlin}\n"
        "accounts:\n  source: users\n  id: user\n  time: joined\n  identifiers: {device: device}\n"
        "  attributes: {score: number, vip: flag}\n"
        "sources: {users: {cypher: \"UNWIND [1, 2.0, '3', null] AS id "
        "RETURN id AS user, localdatetime('2025-03-01T01:00') AS joined, id AS device, id AS score,"
        ' id = 1 AS vip"}}\n'
    )
    workspace = Workspace(tmp_path / "workspace")
    report = build(spec, workspace, max_quarantine=0.5)
    snapshot = workspace.open_snapshot()
    assert snapshot.account_ids.arrow.to_pylist() == ["1", "2", "3"]
    assert snapshot.attribute_values.tolist() == [[1, 1], [2, 0], [3, 0]]
    assert set(snapshot.first_seen_ms.tolist()) == {1_740_787_200_000}  # midnight in UTC
    assert [count.reasons for count in report.sources] == [{"account_missing": 1}]


@pytest.mark.parametrize(
    ("time", "expected_ms"),
    [
        pytest.param("datetime('2025-03-01T01:00:00.25+01:00')", 1_740_787_200_250, id="with-offset"),
        pytest.param("datetime('2025-03-01T01:00[Europe/Paris]')", 1_740_787_200_000, id="with-zone"),
        pytest.param("date('2025-03-01')", 1_740_787_200_000, id="date"),
        pytest.param("1740787200000", 1_740_787_200_000, id="number"),
        pytest.param("'2025-03-01T00:00:00Z'", 1_740_787_200_000, id="text"),
        pytest.param(
            "CASE u WHEN 'a' THEN date('2025-03-01') ELSE datetime('2025-03-01T00:00Z') END",
            1_740_787_200_000,
            id="dates-and-times",
        ),
    ],
)
def test_times_of_every_sort_are_read(
    environment: Target, tmp_path: Path, time: str, expected_ms: int
) -> None:
    assert _run(environment, "RETURN 1 AS one") == [{"one": 1}]
    text = f"UNWIND ['a', 'b'] AS u RETURN u AS user, {time} AS joined, 'd' AS device"
    spec = parse_spec(
        "ringwatch: 1\nname: asked\ntimes: {unit: ms}\nkinds: {device: {public: true}}\n"
        "accounts: {source: users, id: user, time: joined, identifiers: {device: device}}\n"
        f'sources: {{users: {{cypher: "{text}"}}}}\n'
    )
    workspace = Workspace(tmp_path)
    build(spec, workspace)
    assert workspace.open_snapshot().first_seen_ms.tolist() == [expected_ms] * 2


@pytest.mark.parametrize(
    ("cypher", "expected"),
    [
        pytest.param(
            "MATCH (u:User) RETURN u.id AS users, u.joined AS joined, u.d AS device",
            "column 'user': missing; did you mean 'users'?",
            id="column-missing",
        ),
        pytest.param("MATCH (u:User) RETRUN u.id AS user", "Invalid input 'RETRUN'", id="syntax"),
        pytest.param(
            "CREATE (u:User) RETURN u.id AS user, u.joined AS joined, u.d AS device",
            "the query would change the database",
            id="writes",
        ),
        pytest.param(
            "RETURN 'u' AS user, 1 AS joined, ['a', 'b'] AS device",
            "row 0, column 'device': holds a list; return texts",
            id="list",
        ),
        pytest.param(
            "RETURN 'u' AS user, duration('P1D') AS joined, 'a' AS device",
            "row 0, column 'joined': holds a Duration; return texts",
            id="duration",
        ),
        pytest.param(
            "RETURN 'u' AS user, datetime('+12000-01-01T00:00Z') AS joined, 'a' AS device",
            "column 'joined': holds a time outside the years 1 to 9999",
            id="no-such-year",
        ),
        pytest.param(
            "UNWIND range(3, -1, -1) AS n RETURN 'u' AS user, 1 / n AS joined, 'a' AS device",
            "/ by zero",
            id="fails-in-the-middle",
        ),
    ],
)
def test_a_query_that_cannot_be_used_is_one_clear_line(
    environment: Target, tmp_path: Path, cypher: str, expected: str
) -> None:
    with pytest.raises(DataError) as caught:
        build(_spec(cypher), Workspace(tmp_path / "workspace"))
    text = str(caught.value)
    assert expected in text
    assert "source 'users'" in text
    assert environment.shown in text
    assert "\n" not in text
    assert Workspace(tmp_path / "workspace").current()["snapshot"] is None
    assert _run(environment, "MATCH (n) RETURN count(n) AS n") == [{"n": 0}]


def test_a_query_that_writes_unseen_is_refused_by_the_server(environment: Target) -> None:
    """The session itself may only read, whatever is found out before about the query."""
    spec = _spec("RETURN 'u' AS user, 1 AS joined, 'd' AS device")
    answer = open_answer(spec, "users")
    writes = spec.sources["users"].model_copy(update={"cypher": "CREATE (n:X) RETURN 1 AS a, 2 AS b, 3 AS c"})
    with pytest.raises(DataError, match="read access mode"):
        list(type(answer)("users", writes, answer.target, answer.given, answer.columns).pages(None))
    assert _run(environment, "MATCH (n) RETURN count(n) AS n") == [{"n": 0}]


@pytest.mark.parametrize(
    ("variable", "value", "path", "expected"),
    [
        pytest.param("NEO4J_PASSWORD", "wrong", "neo4j:", "refuses user 'neo4j'", id="wrong-password"),
        pytest.param("NEO4J_DATABASE", "nowhere", "neo4j:", "has no database 'nowhere'", id="no-database"),
        pytest.param(
            "NEO4J_DATABASE", "neo4j", "{uri}/elsewhere", "has no database 'elsewhere'", id="path-first"
        ),
        pytest.param("NEO4J_URI", "bolt://127.0.0.1:1", "neo4j:", "cannot be reached", id="no-server"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_clear_line(
    environment: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    path: str,
    expected: str,
) -> None:
    monkeypatch.setenv(variable, value)
    spec = _spec(
        "RETURN 'u' AS user, 1 AS joined, 'd' AS device", path=path.replace("{uri}", environment.uri)
    )
    with pytest.raises(RingwatchError) as caught:
        build(spec, Workspace(tmp_path / "workspace"))
    text = str(caught.value)
    assert expected in text
    assert "source 'users'" in text
    assert "wrong" not in text.replace("wrong password", "")


def test_a_killed_build_resumes(
    environment: Target, timed_build: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(environment)
    (tmp_path / "spec.yaml").write_text(_spec_text())
    folder = tmp_path / "workspace"
    killed = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.graph_etl.killed_build",
            tmp_path / "spec.yaml",
            folder,
            "3",
            "part.json",
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert Workspace(folder).current()["snapshot"] is None
    report = build(parse_spec(_spec_text(), tmp_path / "spec.yaml"), Workspace(folder))
    assert (report.content_hash, report.files_reused) == (timed_build.report.content_hash, 1)
    assert [path for path in folder.rglob("*") if ".partial" in path.name] == []


@pytest.mark.slow
def test_a_server_that_goes_in_the_middle_is_one_clear_line_and_the_next_build_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph_etl.neo4j_store.pages.PAGE_ROWS", 10_000)
    query = (
        "UNWIND range(1, 60000) AS n RETURN 'u' + n AS user, 1700000000 + n AS joined, 'd' + n % 50 AS device"
    )
    workspace = Workspace(tmp_path / "workspace")
    with LocalNeo4j(tmp_path / "neo4j", password="ringwatch-outage", heap="768m") as server:
        monkeypatch.setenv("NEO4J_URI", server.uri)
        monkeypatch.setenv("NEO4J_PASSWORD", "ringwatch-outage")
        spec = _spec(query)
        staged: list[Path] = []

        def stop_in_the_middle() -> None:
            while len(staged) < 2:
                staged[:] = list(workspace.staging.glob("[!.]*")) if workspace.staging.exists() else []
                time.sleep(0.01)
            server.kill()

        thread = threading.Thread(target=stop_in_the_middle)
        thread.start()
        with pytest.raises(DataError) as caught:
            build(spec, workspace)
        thread.join()
        assert "source 'users'" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert workspace.current()["snapshot"] is None
        server.start()
        report = build(spec, workspace)
    assert (report.rows, report.accounts) == (60_000, 60_000)
    assert report.files_reused >= 2
    assert report.files_read + report.files_reused == 6


def test_ends_that_may_be_accounts_find_them_over_pages(
    environment: Target, untimed_build: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted transfers without times, between accounts and wallets."""
    monkeypatch.setattr("graph_etl.neo4j_store.pages.PAGE_ROWS", 50)
    from tests.building import transfer_files

    files = transfer_files()
    for name, label in (("accounts.csv", "Holder"), ("transfers.csv", "Moved")):
        rows = list(csv.DictReader(io.StringIO(files[name])))
        with connect(environment) as driver, session(driver, environment) as opened:
            numbered = [{"at": at, "row": row} for at, row in enumerate(rows)]
            opened.run(
                f"UNWIND $rows AS one CREATE (n:{label}) SET n = one.row, n.at = one.at", rows=numbered
            ).consume()
    asked = (
        "sources:\n"
        "  accounts: {cypher: 'MATCH (h:Holder) RETURN h.account AS account, toFloat(h.volume) AS volume,"
        " h.bad AS bad, h.ring AS ring ORDER BY h.at'}\n"
        "  transfers: {cypher: 'MATCH (m:Moved) RETURN m.src AS src, m.dst AS dst, m.kind AS kind,"
        " m.chain AS chain, toInteger(m.n) AS n ORDER BY m.at'}\n"
    )
    start, stop = TRANSFERS_SPEC.index("sources:"), TRANSFERS_SPEC.index("kinds:")
    text = TRANSFERS_SPEC[:start] + asked + TRANSFERS_SPEC[stop:]
    report = build(parse_spec(text), Workspace(tmp_path))
    assert report.content_hash == untimed_build.report.content_hash


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(
            "{path: 'neo4j://me:hidden@host', cypher: 'RETURN 1 AS user'}",
            "sources.users.path: the address holds a user or a password; set NEO4J_USERNAME",
            id="password",
        ),
        pytest.param("'bolt://host'", "a Neo4j needs cypher", id="no-cypher"),
        pytest.param("{path: a.csv, cypher: x}", "cypher is for a Neo4j only", id="cypher-of-a-file"),
        pytest.param("{path: 'neo4j:host', cypher: x}", "expected an address such as", id="no-address"),
        pytest.param(
            "{path: ['neo4j://a', 'neo4j://b'], cypher: x}", "make a source of each", id="two-addresses"
        ),
        pytest.param("{path: a.csv, format: neo4j, cypher: x}", "needs the address", id="file-as-neo4j"),
    ],
)
def test_a_spec_that_cannot_be_asked_is_refused(source: str, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(
            f"ringwatch: 1\nname: a\naccounts: {{source: users, id: user}}\nsources: {{users: {source}}}\n"
        )
    assert expected in str(caught.value)
    assert "hidden" not in str(caught.value)
