"""A small platform that went through build, train and rings by the command line, once for all tests."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ringwatch import run
from tests.building import PLATFORM_SPEC, platform_files, write_data


@dataclass(frozen=True, slots=True)
class Walked:
    """Where the platform lies, and what each command said with `--json`."""

    spec: Path
    workspace: Path
    said: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Said:
    """What one call of the command line did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object that it printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found


Call = Callable[..., Said]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in this process and catch what it says."""

    def run_and_catch(*words: str | Path) -> Said:
        capfd.readouterr()
        code = run([str(word) for word in words])
        caught = capfd.readouterr()
        return Said(code, caught.out, caught.err)

    return run_and_catch


@pytest.fixture(scope="session")
def walked(tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> Walked:
    """A platform of 300 accounts after `build`, `train` and `rings`. Not to be changed."""
    assert hash_key
    folder = tmp_path_factory.mktemp("walked")
    write_data(folder / "data", PLATFORM_SPEC, platform_files())
    spec, workspace = folder / "data" / "spec.yaml", folder / "workspace"
    said = {}
    for words in (("build", str(spec)), ("train",), ("rings",)):
        said[words[0]] = _run_json(folder, [*words, "--workspace", str(workspace), "--json"])
    return Walked(spec, workspace, said)


def _run_json(folder: Path, words: list[str]) -> dict[str, Any]:
    """Run a command outside any test, so without pytest's capture, and return the JSON that it printed."""
    from contextlib import redirect_stdout

    file = folder / "said.json"
    with file.open("w", encoding="utf-8") as stream, redirect_stdout(stream):
        code = run(words)
    assert code == 0, f"ringwatch {' '.join(words)} ended with {code}"
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document
