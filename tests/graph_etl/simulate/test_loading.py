"""A wrong simulation file is refused with its place and a remedy, in one line."""

from pathlib import Path

import pytest

from graph_etl.errors import SpecError
from graph_etl.simulate import load_simulation

GOOD = """\
simulation: 1
name: tiny
start: 2025-01-01T00:00:00Z
days: 20
accounts: 300
honest:
  households: {share: 0.2}
attacks:
  - tactic: device_farm
    name: farm
    accounts: 6
    devices: 1
    window: 25m
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "simulation.yaml"
    path.write_text(text)
    return path


def test_a_good_file_loads_with_its_defaults(tmp_path: Path) -> None:
    config = load_simulation(_write(tmp_path, GOOD))
    assert config.seed == 0
    assert config.attacks[0].window_s == 25 * 60
    assert config.end_utc.isoformat() == "2025-01-21T00:00:00+00:00"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        pytest.param(
            "days: 20", "dayz: 20", 4, "unknown key 'dayz' in the file; did you mean 'days'?", id="typo"
        ),
        pytest.param("devices: 1", "device: 1", 12, "did you mean 'devices'?", id="typo-in-attack"),
        pytest.param(
            "share: 0.2", "shar: 0.2", 7, "in honest.households; did you mean 'share'?", id="nested"
        ),
        pytest.param("share: 0.2", "share: 2", 7, "less than or equal to 1, got '2'", id="out-of-range"),
        pytest.param(
            "25m", "soon", 13, "expected a duration such as 90s, 5m, 1h or 7d, got 'soon'", id="duration"
        ),
        pytest.param("device_farm", "devise_farm", 9, "'device_farm'", id="unknown-tactic"),
        pytest.param("    name: farm\n", "", 9, "attacks[0].name is missing", id="missing"),
        pytest.param("25m", "30d", 1, "'farm' does not end within 20 days", id="too-long"),
        pytest.param("accounts: 6", "accounts: 190", 1, "raise accounts", id="too-many-bad"),
        pytest.param("simulation: 1", "simulation: [1", 2, "not valid YAML", id="no-yaml"),
    ],
)
def test_an_error_names_the_line_and_the_remedy(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    path = _write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(SpecError) as caught:
        load_simulation(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}:")
    assert says in message
    assert "\n" not in message


def test_a_missing_file_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load_simulation(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match="expected keys such as"):
        load_simulation(_write(tmp_path, ""))


def test_two_attacks_of_one_name_are_refused(tmp_path: Path) -> None:
    attack = GOOD[GOOD.index("  - tactic") :]
    with pytest.raises(SpecError, match="'farm' is used twice"):
        load_simulation(_write(tmp_path, GOOD + attack))
