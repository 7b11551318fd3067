"""Serving guide and style sheet on this machine, for Neo4j Browser to fetch."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from graph_etl.neo4j_store.browser.saved import browser_files
from graph_etl.neo4j_store.connection import GraphStoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class BrowserFiles:
    """Where guide and style sheet are served.

    Attributes:
        address: Without a slash at the end. The host is ``localhost``: Neo4j Browser fetches guides from
            there without a setting on the server.
    """

    address: str

    @property
    def play(self) -> str:
        """The command that plays the guide in Neo4j Browser."""
        return f":play {self.address}/ringwatch.html"

    @property
    def style(self) -> str:
        """The command that puts the style sheet to use in Neo4j Browser."""
        return f":style {self.address}/ringwatch.grass"


@contextmanager
def serve_browser_files(
    port: int = 0, examples: Mapping[str, str] | None = None, browser: str | None = None
) -> Iterator[BrowserFiles]:
    """Serve guide, style sheet and saved queries to Neo4j Browser while the block runs.

    Only pages of this machine, and of ``browser``, may read them: examples name accounts.

    Args:
        port: On which port of this machine; 0 picks a free one.
        examples: Values that the guide shows, by name of the parameter.
        browser: Name of the host that serves Neo4j Browser, if it is not this machine.

    Yields:
        Where they are.

    Raises:
        GraphStoreError: If the port is taken.
    """
    hosts = _HERE | ({browser} if browser else frozenset())
    files: dict[str, tuple[str, bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_OPTIONS(self) -> None:
            self.send_response(HTTPStatus.NO_CONTENT)
            self._allow()
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: the commands that serve have their own words."""

        def _answer(self, *, with_body: bool) -> None:
            found = files.get(self.path.partition("?")[0].lstrip("/"))
            if found is None:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            self.send_response(HTTPStatus.OK)
            self._allow()
            self.send_header("Content-Type", found[0])
            self.send_header("Content-Length", str(len(found[1])))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if with_body:
                self.wfile.write(found[1])

        def _allow(self) -> None:
            self.send_header("Vary", "Origin")
            origin = self.headers.get("Origin")
            if origin is None or urlsplit(origin).hostname not in hosts:
                return
            self.send_header("Access-Control-Allow-Origin", origin)
            # Browser's requests bear headers of their own, which makes them ask first: all are harmless here.
            asked = self.headers.get("Access-Control-Request-Headers")
            if asked is not None:
                self.send_header("Access-Control-Allow-Headers", asked)
            self.send_header("Access-Control-Allow-Methods", "GET, HEAD")
            self.send_header("Access-Control-Allow-Private-Network", "true")

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        message = f"port {port} of this machine cannot be listened on ({error.strerror}); choose another"
        raise GraphStoreError(message) from None
    address = f"http://localhost:{server.server_address[1]}"
    files.update(browser_files(examples, address))
    thread = threading.Thread(target=server.serve_forever, name="browser-files", daemon=True)
    thread.start()
    try:
        yield BrowserFiles(address)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
