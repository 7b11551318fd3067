"""Take the picture of a ring in Neo4j Browser: `python benchmarks/browser_screenshot.py BROWSER FILE.png`.

Needs Chromium on the path, and a Neo4j that `ringwatch neo4j load` and `write-back` have filled: NEO4J_URI
and NEO4J_PASSWORD say where; `make demo-neo4j` prints the address BROWSER. The ring is the first one, or
`--ring ID`. docs/images/neo4j-browser-ring.png was made so, of the demo's game, `--ring rcab696e032`.
"""

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from graph_etl.neo4j_store import Target, connect, query
from graph_etl.neo4j_store.browser import BrowserFiles, find_examples, serve_browser_files
from ringwatch.commands.neo4j.options import target_of

WIDTH, HEIGHT = 1440, 860
PATIENCE_S = 60.0
ASIDE = 110
"""Pixels that the graph is moved to the left, out from behind the legend."""


class Chromium:
    """A page of a headless Chromium, driven through pipes by its DevTools protocol."""

    def __init__(self) -> None:
        program = next(
            (
                found
                for name in ("chromium", "chromium-browser", "google-chrome")
                if (found := shutil.which(name))
            ),
            None,
        )
        if program is None:
            sys.exit("no Chromium on the path; on Debian: apt-get install chromium")
        self._home = tempfile.mkdtemp(prefix="ringwatch-chromium-")
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        options = (
            "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars"
            f" --remote-debugging-pipe --user-data-dir={self._home} about:blank"
        )
        # Chromium reads commands from descriptor 3 and answers on descriptor 4.
        self._process = subprocess.Popen(
            ["sh", "-c", f'exec "$0" {options} 3<&{commands} 4>&{answers}', program],
            pass_fds=(commands, answers),
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._read = b""
        self._sent = 0
        self._session: str | None = None

    def __enter__(self) -> Self:
        pages = self.call("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in pages if one["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=WIDTH,
            height=HEIGHT,
            deviceScaleFactor=1,
            mobile=False,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self._home, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._read:
                self._read += os.read(self._answers, 1 << 20)
            answer, _, self._read = self._read.partition(b"\0")
            found = json.loads(answer)
            if found.get("id") == self._sent:
                if "error" in found:
                    sys.exit(f"{method}: {found['error']['message']}")
                return dict(found["result"])

    def run(self, script: str) -> Any:
        """Run JavaScript in the page and return its value."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true in the page."""
        until = time.monotonic() + PATIENCE_S
        while not self.run(script):
            if time.monotonic() > until:
                sys.exit(f"never came true in Neo4j Browser: {script}")
            time.sleep(0.2)

    def write(self, field: str, text: str) -> None:
        """Replace what a field of the page holds."""
        self.run(f"(e => {{ e.focus(); e.select && e.select() }})(document.querySelector({field!r}))")
        self.call("Input.insertText", text=text)

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Drag with the left button."""
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
        time.sleep(1.0)

    def command(self, text: str) -> None:
        """Run a command or a query in Neo4j Browser."""
        self.run("document.querySelector('[data-testid=editor-discard]').click()")
        self.write(".monaco-editor textarea", text)
        time.sleep(0.5)
        self.run("document.querySelector('[data-testid=editor-Run]').click()")
        time.sleep(2.0)


def take(page: Chromium, browser: str, target: Target, ring: str, files: BrowserFiles) -> bytes:
    """Log in, put the style sheet to use, ask for a ring and take the picture.

    Args:
        page: The page.
        browser: Address of Neo4j Browser.
        target: The database.
        ring: Id of the ring.
        files: Where the style sheet is served.

    Returns:
        PNG.
    """
    asked = query("ring")
    page.call("Page.navigate", url=f"{browser}?dbms={target.uri.replace('://', f'://{target.username}@')}")
    page.wait("!!document.querySelector('[data-testid=password]')")
    page.write("[data-testid=username]", target.username)
    page.write("[data-testid=password]", target.password)
    page.run("document.querySelector('[data-testid=connect]').click()")
    page.wait("!document.querySelector('[data-testid=connect]')")
    # Only what the query returns, not every relationship between what it returns.
    page.command(":config autoComplete: false")
    page.command(files.style)
    page.command(asked.parameter_lines({"ring": ring}))
    page.command(":clear")
    page.command(f"// {asked.title}\n{asked.cypher}")
    page.wait("document.querySelectorAll('g.node').length > 3")
    page.run("document.querySelector('[title=Fullscreen]').click()")
    time.sleep(10.0)  # the picture comes to rest
    page.run("document.querySelector('[aria-label=zoom-to-fit]').click()")
    time.sleep(3.0)
    page.drag((120, 120), (120 - ASIDE, 120))
    return base64.b64decode(page.call("Page.captureScreenshot", format="png")["data"])


def main() -> None:
    """Read the command line and take the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("browser", help="address of Neo4j Browser, such as http://127.0.0.1:7474/browser/")
    parser.add_argument("file", type=Path, help="where the picture goes")
    parser.add_argument("--ring", help="id of the ring; the first one if left out")
    given = parser.parse_args()
    target = target_of()
    with connect(target) as driver:
        ring = given.ring or find_examples(driver, target).ring
    if ring is None:
        sys.exit("this Neo4j holds no rings; `ringwatch neo4j write-back` writes them")
    with serve_browser_files() as files, Chromium() as page:
        given.file.write_bytes(take(page, given.browser, target, ring, files))
    print(f"{given.file}: ring {ring}, {given.file.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
