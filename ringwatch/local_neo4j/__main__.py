"""`python -m ringwatch.local_neo4j DIR [BOLT_PORT [HTTP_PORT]]`: keep a local Neo4j up until stopped."""

import signal
import sys
from contextlib import suppress
from pathlib import Path

from ringwatch.local_neo4j import LocalNeo4j

PASSWORD = "ringwatch-local"


def main() -> None:
    """Start it, say where it is, and wait."""
    folder, *ports = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    numbers = [int(port) for port in ports] + [None, None]
    with LocalNeo4j(Path(folder), password=PASSWORD, bolt_port=numbers[0], http_port=numbers[1]) as server:
        sys.stdout.write(f"{server.uri}  user neo4j  password {PASSWORD}  browser {server.browser}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
