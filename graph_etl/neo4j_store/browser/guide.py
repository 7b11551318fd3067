"""The guide that Neo4j Browser plays: every query of the pack, with fields for what it asks for.

Neo4j Browser 5 fetches a guide with ``:play http://localhost:PORT/ringwatch.html``. In it, ``pre.runnable``
is run by the icon before it and copied into the editor by a click on it, ``data-exec`` runs a command, and
what is typed into a field with ``value-for`` appears where ``value-key`` says.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any, Final

from graph_etl.neo4j_store.connection import session
from graph_etl.neo4j_store.query_pack import SUBJECTS, param_line, parameters, queries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neo4j import Driver

    from graph_etl.neo4j_store.connection import Target
    from graph_etl.neo4j_store.query_pack import Parameter, Query

_HEADINGS: Final = {
    "platform": "The whole platform",
    "rings": "Rings",
    "accounts": "Accounts",
    "identifiers": "Identifiers and hubs",
}


@dataclass(frozen=True, slots=True)
class Examples:
    """Values from a database that make the queries show something; None where it has none.

    Attributes:
        ring: Id of the first ring.
        account: Its firmest member.
        other: Its next member.
        key: Key of the rarest node that the member shares.
    """

    ring: str | None = None
    account: str | None = None
    other: str | None = None
    key: str | None = None

    def given(self) -> dict[str, str]:
        """What there is, by name of the parameter."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def find_examples(driver: Driver, target: Target) -> Examples:
    """Look for values that make the queries show something.

    Args:
        driver: From :func:`~graph_etl.neo4j_store.connect`.
        target: The database.

    Returns:
        The first ring, two members and a shared node; nothing where no rings were written back.
    """
    text = """
    MATCH (ring:Ring)
    WHERE ring.rank >= 1 AND ring.superseded = false
    WITH ring ORDER BY ring.rank LIMIT 1
    CALL (ring) { MATCH (ring)<-[membership:MEMBER_OF]-(member:Account) RETURN membership, member LIMIT 500 }
    WITH ring, membership, member ORDER BY membership.weight DESC, member.id
    WITH ring, collect(member)[..2] AS members
    WITH ring, members, members[0] AS first
    CALL (first) {
      OPTIONAL MATCH (first)-[:USED]->(thing:Identifier)
      WITH thing LIMIT 100
      WITH thing WHERE thing.accounts >= 2 AND NOT thing.hub
      RETURN thing.hash AS key ORDER BY thing.accounts, key LIMIT 1
      UNION ALL RETURN null AS key
    }
    RETURN ring.id AS ring, members[0].id AS account, members[1].id AS other, key
    ORDER BY key IS NULL LIMIT 1
    """
    with session(driver, target) as opened:
        record = opened.run(text).single()
    return Examples() if record is None else Examples(**record.data())


def guide_html(examples: Mapping[str, str] | None = None, address: str | None = None) -> str:
    """The guide.

    Args:
        examples: Values that its fields hold at first, by name of the parameter.
        address: Where the guide and the style sheet are served, without a slash at the end; None: the guide
            has no button for the style sheet.

    Returns:
        HTML, one slide for each subject; every query of the pack once.
    """
    given = examples or {}
    slides = [_first_slide(given, address)]
    for subject in SUBJECTS:
        about = [one for one in queries() if one.about == subject]
        asked = {one.name: one for query in about for one in query.parameters if one.required}
        inside = "".join(_query(one) for one in about)
        slides.append(f"<h3>{_HEADINGS[subject]}</h3>{_inputs(tuple(asked.values()), given)}{inside}")
    deck = "".join(f'<slide class="row-fluid"><div class="col-sm-12">{one}</div></slide>' for one in slides)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Ringwatch</title></head><body>'
        f'<article class="guide"><carousel class="deck container-fluid">{deck}</carousel></article>'
        "</body></html>\n"
    )


def _first_slide(given: Mapping[str, str], address: str | None) -> str:
    # Browser goes through the text of a slide once: what a field changes has to be in the same slide.
    lines = "\n".join(param_line(one, given.get(one.name)) for one in parameters())
    style = ""
    if address is not None:
        command = f"style {address}/ringwatch.grass"
        style = (
            f"<p>2. <button data-exec='{escape(command, quote=True)}' style='padding: 4px 10px'>Use the style"
            " sheet</button> (or drop <code>ringwatch.grass</code> onto this window).</p>"
        )
    return (
        "<h3>Ringwatch: what investigators ask</h3>"
        f"<p>{len(queries())} queries about rings, accounts and what they share. Each is bounded: it never"
        " goes through a hub, and comes back within seconds however large the graph is.</p>"
        "<p>1. Set what the queries ask for once: the icon runs a box, a click on it copies it into the"
        " editor.</p>"
        f'<pre class="code runnable">{escape(lines)}</pre>{style}'
        "<p>3. Go on with the arrow on the right: write an account, a ring or a key into the field, set it,"
        " run a query. Graphs appear as graphs; of what does not fit, the row says how much there is"
        " (tab <em>Table</em>).</p>"
        "<p>Identifiers are kept as keyed hashes: <code>ringwatch hash KIND VALUE</code> prints the key of a"
        " device, an address or a card.</p>"
    )


def _inputs(asked: tuple[Parameter, ...], given: Mapping[str, str]) -> str:
    rows = []
    for one in asked:
        value = escape(given.get(one.name, ""), quote=True)
        rows.append(
            f'<p><label>{escape(one.name)}: <input value-for="{one.name}" value="{value}"'
            f' placeholder="{escape(one.words, quote=True)}" style="width: 24em"></label></p>'
            f'<pre class="code runnable">:param {one.name} =&gt; '
            f"'<span value-key=\"{one.name}\">{value}</span>'</pre>"
        )
    return "".join(rows)


def _query(one: Query) -> str:
    def said(what: str, words: str) -> str:
        return f"<br><strong>{what}</strong> {_words(words)}"

    # Its title stays: it names the query in Browser's history and favourites.
    run = f"// {one.title}\n{one.cypher}"
    asked = ", ".join(f"${parameter.name}" for parameter in one.parameters)
    return (
        f'<h4 data-query="{one.name}">{escape(one.title)}</h4><p>{_words(f"When {one.use_when}")}'
        + (said("Asks for", asked) if asked else "")
        + said("Shows", f"a {one.shows}: {one.returns}")
        + said("Bound", one.bound)
        + f'</p><pre class="code runnable" style="max-height: 8em; overflow: auto">{escape(run)}</pre>'
    )


def _words(text: str) -> str:
    parts: list[Any] = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))
