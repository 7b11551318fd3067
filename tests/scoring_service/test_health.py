"""`/healthz` answers at once, `/readyz` tells the truth."""

from pathlib import Path

from graph_etl import Workspace
from scoring_service import ServiceSettings, create_app
from tests.scoring_service.conftest import Client
from tests.scoring_service.small_platform import sign_up_event


def test_not_ready_until_warmed_up(copied: Workspace) -> None:
    client = Client(create_app(ServiceSettings(workspace=copied.path)))
    assert client.get("/healthz").json() == {"status": "ok"}
    for response in (client.get("/readyz"), client.risk(sign_up_event()), client.get("/v1/rings")):
        assert (response.status_code, response.json()["error"]["code"]) == (503, "not_ready")
        assert response.headers["retry-after"] == "1"
    client.open()
    client.wait_until_ready()
    assert client.get("/readyz").status_code == 200
    client.close()


def test_ready_names_what_answers_are_made_from(client: Client, workspace: Path) -> None:
    current = Workspace(workspace).current()
    ready = client.get("/readyz").json()
    assert {part: ready[part] for part in ("snapshot", "bundle", "rings")} | {"shadow": None} == current
    assert (ready["status"], ready["problems"]) == ("ready", [])
    assert (ready["data_set"], ready["accounts"], ready["simulated"]) == ("small_platform", 297, True)
    assert ready["policy"] == "default 2"
