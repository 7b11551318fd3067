"""The console is one self-contained page that loads nothing from elsewhere."""

import re

import pytest

from tests.scoring_service.conftest import Client

PARTS = ("/", "/console/console.js", "/console/style.css")


@pytest.mark.parametrize("path", PARTS)
def test_parts_are_served_and_name_no_other_host(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    hosts = set(re.findall(r"https?://[^\s\"')]+", response.text))
    assert hosts <= {"http://www.w3.org/2000/svg"}  # the name of SVG, never fetched
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"


def test_page_asks_only_for_parts_that_are_served(client: Client) -> None:
    page = client.get("/").text
    asked = set(re.findall(r'(?:src|href)="([^"#:]+)"', page))
    assert asked == {"console/console.js", "console/style.css"}
    assert "Simulated data" in page


def test_script_writes_no_markup_from_data(client: Client) -> None:
    script = client.get("/console/console.js").text
    code = "\n".join(line for line in script.splitlines() if not line.startswith("//"))
    assert "innerHTML" not in code
    assert "insertAdjacentHTML" not in code
