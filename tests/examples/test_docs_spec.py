"""The example that docs/spec.md walks through works as it says, and fails as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from graph_etl import RingwatchError, Workspace, build, load_spec
from graph_etl.spec import (
    AccountMapping,
    EventMapping,
    GroupMapping,
    Kind,
    Source,
    Spec,
    SplitMapping,
    VerdictMapping,
    parse_spec,
)
from graph_etl.spec.parts import DERIVATIONS
from graph_etl.spec.sources import FORMATS

DOCS = Path(__file__).parents[2] / "docs" / "spec.md"
TEXT = DOCS.read_text()
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", TEXT, re.DOTALL))
ERRORS = re.findall(r"<!-- error: (\S+) -> (\S+) -->\n```\n(.*?)\n```", TEXT, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_builds_to_what_the_text_says(folder: Path) -> None:
    workspace = Workspace(folder / "workspace")
    report = build(load_spec(Path("spec.yaml")), workspace)
    assert [(count.mapping, count.rows, count.in_graph) for count in report.sources] == [
        ("accounts[0]", 3, 3),
        ("events[0]", 2, 2),
        ("verdicts[0]", 3, 3),
    ]
    # u2 and u3 share a mailbox and a device.
    assert report.entities == {"email": 2, "device": 2, "email_domain": 2}
    verdicts = workspace.open_snapshot().verdicts
    assert verdicts["label"].to_list() == [1, 1]
    assert verdicts["known_ms"].null_count() == 0


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("old", "new", "expected"), ERRORS)
def test_the_errors_are_the_ones_shown(old: str, new: str, expected: str) -> None:
    spec = Path("spec.yaml")
    assert old in spec.read_text()
    spec.write_text(spec.read_text().replace(old, new, 1))
    with pytest.raises(RingwatchError) as caught:
        build(load_spec(spec), Workspace(Path("workspace")))
    assert str(caught.value) == expected


def test_two_errors_are_shown() -> None:
    assert len(ERRORS) == 2


def test_every_block_of_yaml_is_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        parts = yaml.safe_load(block)
        parse_spec(yaml.safe_dump({"events": []} | {"ringwatch": 1, "name": "x"} | parts | _needed(parts)))


def _needed(parts: dict[str, object]) -> dict[str, object]:
    """What a fragment that shows only sources lacks."""
    if "events" in parts or "accounts" in parts:
        return {}
    sources = parts["sources"]
    assert isinstance(sources, dict)
    return {"accounts": [{"source": next(iter(sources)), "id": "row"}]}


def keys_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_every_key_and_every_value_is_described() -> None:

    described = set(re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)))
    words = {word for text in described for word in re.findall(r"[\w.]+", text)}
    mappings = (AccountMapping, EventMapping, VerdictMapping, GroupMapping, SplitMapping)
    models: tuple[type[BaseModel], ...] = (Spec, Source, Kind, *mappings)
    keys = {key for model in models for key in keys_of(model)}
    assert keys - words == set()
    assert {*DERIVATIONS, "text", "exact", "ip", "email", "phone", "number", "category", "flag"} <= words
    assert {ending for ending in FORMATS if not ending.endswith(".gz")} <= described
