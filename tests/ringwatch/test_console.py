"""JSON that any reader can parse, text that loses nothing."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from ringwatch.console import Outcome, Screen, finite


def test_what_json_lacks_becomes_null_or_plain() -> None:
    value = {"a": math.nan, "b": [np.float32(0.5), np.int64(3), -math.inf], "c": Path("x"), "d": {1: (True,)}}
    assert finite(value) == {"a": None, "b": [0.5, 3, None], "c": "x", "d": {"1": [True]}}


def test_json_is_one_document_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=True)
    screen.say("not shown")
    screen.table(["a"], [[1]])
    screen.note("warning: shown elsewhere")
    screen.finish(Outcome("build", Path("w"), {"n": 1}, wrote=(Path("w/s"),), next_command="ringwatch train"))
    caught = capsys.readouterr()
    assert json.loads(caught.out) == {
        "command": "build",
        "workspace": "w",
        "wrote": ["w/s"],
        "next": "ringwatch train",
        "result": {"n": 1},
    }
    assert "warning: shown elsewhere" in caught.err


def test_text_names_files_and_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.table(["name", "n", "share"], [["[bold]x", 12345, 0.5], ["y", None, math.nan]])
    screen.finish(Outcome("build", Path("w"), {}, wrote=(Path("w/s"),), next_command="ringwatch train"))
    out = capsys.readouterr().out
    assert "[bold]x" in out
    assert "12,345" in out
    assert "0.500" in out
    assert out.splitlines()[-2:] == ["wrote w/s", "next: ringwatch train"]


def test_a_step_of_another_command_says_nothing_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(is_part=True).finish(Outcome("build", Path("w"), {}, next_command="ringwatch train"))
    assert capsys.readouterr().out == ""


def test_a_log_gets_one_line_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen().progress() as progress:
        for done in range(3):
            progress("reading", done, 3)
        progress("writing", 0, 1)
    assert capsys.readouterr().err.split("\n")[:2] == ["... reading", "... writing"]
