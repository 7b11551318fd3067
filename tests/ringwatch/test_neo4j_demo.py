"""The demo's Neo4j: it comes up filled, its queries can be pasted, and it is gone when it is told to end."""

import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from graph_etl.neo4j_store import Target, connect, session
from ringwatch.commands.demo import GAME
from ringwatch.commands.neo4j.demo import PASSWORD
from tests.ringwatch.conftest import Walked


@pytest.mark.slow
@pytest.mark.usefixtures("neo4j_server")  # skipped where no Neo4j can be had
def test_the_demo_stays_up_with_queries_that_can_be_pasted(walked: Walked, tmp_path: Path) -> None:
    shutil.copytree(walked.workspace, tmp_path / "demo" / GAME)
    command = [sys.executable, "-u", "-m", "ringwatch", "neo4j", "demo", "-w", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "stays up" in line:
                break
        said = "".join(lines)
        browser = re.search(r"http://\S+/browser/", said)
        uri = re.search(r"NEO4J_URI=(\S+)", said)
        assert browser is not None, said
        assert uri is not None, said
        with urllib.request.urlopen(browser.group(), timeout=10) as page:
            assert b"Neo4j Browser" in page.read()
        pasted = [line for line in lines if line.startswith("MATCH ")]
        assert len(pasted) == 3
        target = Target(uri.group(1), password=PASSWORD)
        with connect(target) as driver, session(driver, target) as opened:
            rows = [opened.run(query).data() for query in pasted]
        assert rows[0][0]["r.rank"] == 1
        assert rows[1], "the first ring's members share nothing"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(browser.group(), timeout=10)
