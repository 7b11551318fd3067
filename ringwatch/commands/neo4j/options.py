"""Where the Neo4j is: the options that all `ringwatch neo4j` commands have, else the environment."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from graph_etl.neo4j_store import Target

UriOption = Annotated[
    str | None,
    typer.Option(
        "--uri",
        metavar="URI",
        help="Address of the Neo4j  [env: NEO4J_URI; default: neo4j://localhost:7687]",
        show_default=False,
    ),
]
UsernameOption = Annotated[
    str | None,
    typer.Option(
        "--username",
        metavar="NAME",
        help="Who asks  [env: NEO4J_USERNAME; default: neo4j]",
        show_default=False,
    ),
]
PasswordOption = Annotated[
    str | None,
    typer.Option(
        "--password",
        metavar="TEXT",
        help="The password; better in the environment, where no list of processes shows it"
        "  [env: NEO4J_PASSWORD]",
        show_default=False,
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="NAME",
        help="The database  [env: NEO4J_DATABASE; default: the user's own]",
        show_default=False,
    ),
]


def target_of(
    uri: str | None = None,
    username: str | None = None,
    password: str | None = None,
    database: str | None = None,
) -> "Target":
    """Return the database that options and environment name; options count more.

    Args:
        uri: Of the option `--uri`.
        username: Of the option `--username`.
        password: Of the option `--password`.
        database: Of the option `--database`.

    Returns:
        The database.

    Raises:
        GraphStoreError: If the address is none of a Neo4j.
    """
    from graph_etl.neo4j_store import Target
    from ringwatch.settings import Neo4jSettings

    given = Neo4jSettings()
    secret = "" if given.password is None else given.password.get_secret_value()
    return Target(
        uri=uri or given.uri or "neo4j://localhost:7687",
        username=username or given.username,
        password=secret if password is None else password,
        database=database or given.database,
    )
