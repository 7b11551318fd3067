"""What keeps the service from starting, and settings."""

from pathlib import Path

import pytest

from graph_etl import Workspace
from graph_etl.errors import RingwatchError
from graph_etl.identifiers import HASH_KEY_VARIABLE
from scoring_service import ServiceSettings, create_app, serve
from scoring_service.errors import BindRefused, HashKeyMismatch, PolicyError


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "ringwatch.example"])
def test_listening_beyond_loopback_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(BindRefused, match="RINGWATCH_ALLOW_REMOTE"):
        serve(ServiceSettings(workspace=tmp_path, host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_needs_no_permission(host: str) -> None:
    ServiceSettings(host=host).check_bind()


def test_permission_lifts_the_refusal() -> None:
    ServiceSettings(host="0.0.0.0", allow_remote=True).check_bind()


def test_settings_come_from_the_environment_and_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGWATCH_PORT", "8123")
    monkeypatch.setenv("RINGWATCH_MAX_CLOCK_SKEW", "PT1M")
    settings = ServiceSettings()
    assert settings.port == 8123
    assert settings.max_clock_skew.total_seconds() == 60
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # what the test is about


def test_another_key_is_refused_with_both_fingerprints(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HASH_KEY_VARIABLE, "another-key-of-enough-length")
    with pytest.raises(HashKeyMismatch, match=r"has fingerprint [0-9a-f]{16}, but .* [0-9a-f]{16}\. Set"):
        create_app(ServiceSettings(workspace=workspace))


def test_missing_key_is_refused_by_name(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HASH_KEY_VARIABLE)
    with pytest.raises(RingwatchError, match=HASH_KEY_VARIABLE):
        create_app(ServiceSettings(workspace=workspace))


def test_workspace_without_a_snapshot_names_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(RingwatchError, match="ringwatch build"):
        create_app(ServiceSettings(workspace=tmp_path))


def test_broken_policy_ends_the_start(copied: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("policy: 2\n")
    with pytest.raises(PolicyError, match=r"mine\.yaml"):
        create_app(ServiceSettings(workspace=copied.path, policy=path))
