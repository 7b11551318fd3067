"""The command line itself: help, exit codes, one line an error, what goes where."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ringwatch.conftest import Call

COMMANDS = (
    ("build",),
    ("train",),
    ("rings",),
    ("serve",),
    ("bundle", "list"),
    ("bundle", "promote"),
    ("bundle", "rollback"),
    ("bundle", "compare"),
    ("bundle", "shadow"),
    ("export", "scores"),
    ("export", "rings"),
    ("export", "embeddings"),
    ("similar",),
    ("ray", "embed"),
    ("evaluate",),
    ("explain",),
    ("hash",),
    ("simulate",),
    ("demo",),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_the_common_options(call: Call, command: tuple[str, ...]) -> None:
    said = call(*command, "--help")
    assert said.code == 0
    for option in ("--workspace", "--seed", "--json"):
        assert option in said.out


def test_help_loads_no_library() -> None:
    program = (
        "import sys; from ringwatch.cli import run; code = run(['--help']);"
        "heavy = {'torch', 'polars', 'numpy', 'lightgbm', 'numba', 'pydantic', 'ray'} & set(sys.modules);"
        "print(sorted(heavy), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Usage: ringwatch" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(("train",), "no snapshot yet; build one with `ringwatch build SPEC`", id="no-snapshot"),
        pytest.param(("rings",), "no snapshot yet", id="rings-too-early"),
        pytest.param(("build", "nowhere.yaml"), "nowhere.yaml", id="no-spec"),
        pytest.param(("bundle", "rollback"), "no bundle is in use", id="nothing-to-roll-back"),
        pytest.param(("simulate", "nowhere.yaml"), "nowhere.yaml", id="no-simulation"),
        pytest.param(("demo", "--only", "chess"), "--only chess", id="unknown-example"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    call: Call, tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    said = call(*words, "--workspace", tmp_path / "empty")
    lines = said.err.strip().splitlines()
    assert said.code == 2
    assert said.out == ""
    assert [line for line in lines if line.startswith("error: ")] == lines
    assert len(lines) == 1
    assert expected in lines[0]


def test_debug_adds_the_traceback(call: Call, tmp_path: Path) -> None:
    said = call("--debug", "train", "--workspace", tmp_path)
    assert said.code == 2
    assert "Traceback" in said.err
    assert "Traceback" not in call("train", "--workspace", tmp_path).err


def test_wrong_usage_shows_how(call: Call) -> None:
    said = call("build")
    assert said.code == 2
    assert "SPEC" in said.err


def test_the_workspace_comes_from_the_environment_unless_given(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ringwatch", "train"]
    environment = {"RINGWATCH_WORKSPACE": str(tmp_path / "theirs"), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert str(tmp_path / "theirs") in done.stderr
