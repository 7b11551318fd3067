"""docs/features.md says what the registry says, for every spec."""

import re
from pathlib import Path

import pytest

from gnn.inputs import input_specs
from gnn.inputs_page import inputs_page, main, page_of_everything
from tests.building import Built

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"


def _lines(page: str) -> set[str]:
    return {line for line in page.splitlines() if line.startswith("| `")}


def test_the_page_is_current() -> None:
    assert _PAGE.read_text() == page_of_everything(), "run `make docs-features`"


def test_the_page_holds_for_a_platform_with_more_of_everything(timed_build: Built) -> None:
    """Other attributes, sides and kinds: the same lines once their names are placeholders."""
    found = _lines(inputs_page(timed_build.snapshot))
    assert found == _lines(_PAGE.read_text())
    assert len(input_specs(timed_build.snapshot, with_contact=True)) > 2 * len(found)  # not vacuous


def test_a_line_names_input_source_and_words() -> None:
    assert "| `SIDE.events` | live | events through SIDE, log |" in _PAGE.read_text()
    assert re.search(r"`contact\.bad_share` \| live, verdicts of others \|", _PAGE.read_text())


def test_it_writes_the_file_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "name the file" in capsys.readouterr().err
    assert main([str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == _PAGE.read_text()
