"""The query pack itself: what its files say, and what is made of them for Neo4j Browser."""

from __future__ import annotations

import io
import re
import urllib.error
import urllib.request
import zipfile
from datetime import UTC, datetime
from html import unescape

import pytest

from graph_etl.neo4j_store import GraphStoreError, Query, queries, query
from graph_etl.neo4j_store.browser import (
    FOLDER,
    guide_html,
    saved_queries,
    serve_browser_files,
    style_sheet,
)
from graph_etl.neo4j_store.query_pack import param_line, parameters

WRITES = re.compile(r"\b(CREATE|MERGE|SET|DELETE|REMOVE|DROP|LOAD CSV|FOREACH)\b")


def style_rules() -> dict[str, dict[str, str]]:
    """The style sheet, read as Neo4j Browser reads it: quotes hide braces, there are no comments."""
    rules: dict[str, dict[str, str]] = {}
    text = re.sub(r"'[^']*'", lambda found: found[0].replace("{", "<").replace("}", ">"), style_sheet())
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", text):
        pairs = [pair.split(":") for pair in body.split(";") if pair.strip()]
        rules[selector.strip()] = {name.strip(): value.strip() for name, value in pairs}
    return rules


def contrast(one: str, two: str) -> float:
    """Contrast of two colours after WCAG 2.1, 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def test_names_titles_and_places_are_told_apart() -> None:
    pack = queries()
    assert len(pack) >= 16
    for told in ({one.title for one in pack}, {(one.about, one.place) for one in pack}):
        assert len(told) == len(pack)


@pytest.mark.parametrize("one", queries(), ids=lambda one: one.name)
def test_a_query_asks_for_what_it_declares_and_writes_nothing(one: Query) -> None:
    assert set(re.findall(r"\$(\w+)", one.cypher)) == {parameter.name for parameter in one.parameters}
    assert not WRITES.search(one.cypher)
    assert "LIMIT" in one.cypher
    assert ";" not in one.cypher  # Neo4j Browser would take it for two


def test_a_parameter_means_the_same_in_every_query() -> None:
    said = {(parameter.name, parameter) for one in queries() for parameter in one.parameters}
    assert len(said) == len({name for name, _ in said}) == len(parameters())


def test_values_are_read_as_the_type_that_a_query_asks_for() -> None:
    given = {"until": "2026-03-01T12:00", "limit": "7", "minutes": 3}
    values = query("bursts").values(given)
    assert values == {
        "days": 30,
        "until": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "minutes": 3,
        "least": 3,
        "limit": 7,
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({}, "needs account", id="missing"),
        pytest.param({"account": "a", "limit": "many"}, "whole number", id="no-number"),
        pytest.param({"account": "a", "limit": "-1"}, "whole number", id="negative"),
        pytest.param({"account": "a", "ring": "r"}, "no parameter ring", id="unknown"),
    ],
)
def test_values_that_do_not_fit_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(GraphStoreError, match=said):
        query("links").values(given)


def test_browser_gets_whole_numbers_and_escaped_text() -> None:
    lines = query("links").parameter_lines({"account": "o'neill\\"})
    assert lines == ":param account => 'o\\'neill\\\\';\n:param limit => 100;\n"
    until = next(one for one in parameters() if one.name == "until")
    assert param_line(until) == ":param until => null;"
    assert "datetime('2026-03-01T00:00:00+00:00')" in param_line(until, "2026-03-01")


def test_the_guide_shows_every_query_once() -> None:
    guide = guide_html({"ring": "<r1>"}, "http://localhost:1")
    assert re.findall(r'data-query="([\w-]+)"', guide) == [one.name for one in queries()]
    runnable = [unescape(one) for one in re.findall(r"<pre[^>]*>(.*?)</pre>", guide, re.DOTALL)]
    for one in queries():
        assert f"// {one.title}\n{one.cypher}" in runnable
    assert "<r1>" not in guide  # what came from a database is no markup
    assert "&lt;r1&gt;" in guide
    assert "<script" not in guide


def test_saved_queries_come_in_a_folder_and_bear_their_titles() -> None:
    with zipfile.ZipFile(io.BytesIO(saved_queries())) as archive:
        names = archive.namelist()
        first_lines = [archive.read(name).decode().partition("\n")[0] for name in names]
    assert all(re.fullmatch(rf"{FOLDER}/\d\d-[\w-]+\.cypher", name) for name in names)
    assert first_lines == [f"// {one.title}" for one in queries()]
    assert saved_queries() == saved_queries()


def test_the_style_sheet_is_legible() -> None:
    rules = style_rules()
    assert {"node.Account", "node.Identifier", "node.Entity", "node.Ring", "node.Verdict"} <= rules.keys()
    plain = {kind: rules[kind] for kind in ("node", "relationship")}
    for selector, rule in rules.items():
        text = rule.get("text-color-internal", plain[selector.partition(".")[0]]["text-color-internal"])
        assert contrast(rule["color"], text) >= 4.5, selector
    captions = {selector: rules[selector]["caption"] for selector in ("node.Account", "node.Identifier")}
    assert captions == {"node.Account": "'<id>'", "node.Identifier": "'<kind>'"}


def test_pages_of_this_machine_may_read_what_is_served_and_others_may_not() -> None:
    with serve_browser_files(0, {"account": "u1"}, "graph.example") as files:

        def allowed(origin: str, method: str = "GET") -> str | None:
            request = urllib.request.Request(f"{files.address}/ringwatch.html", method=method)
            request.add_header("Origin", origin)
            request.add_header("Access-Control-Request-Headers", "cache-control,sentry-trace")
            with urllib.request.urlopen(request, timeout=10) as answer:
                if method == "GET":
                    assert b"u1" in answer.read()
                return answer.headers["Access-Control-Allow-Origin"]  # type: ignore[no-any-return]

        assert allowed("http://127.0.0.1:7474") == "http://127.0.0.1:7474"
        assert allowed("http://localhost:7474", "OPTIONS") == "http://localhost:7474"
        assert allowed("http://graph.example:7474") == "http://graph.example:7474"
        assert allowed("http://elsewhere.example") is None
        assert files.style == f":style {files.address}/ringwatch.grass"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{files.address}/../secret", timeout=10)
        port = int(files.address.rpartition(":")[2])
        with pytest.raises(GraphStoreError, match=f"port {port}"), serve_browser_files(port):
            pass
