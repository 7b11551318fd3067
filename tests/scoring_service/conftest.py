"""One small workspace, really built and trained, and an app over it, for all tests of the service."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from graph_etl import Workspace
from scoring_service import ServiceSettings, create_app
from tests.scoring_service import small_platform


class Client:
    """Calls an app over HTTP from plain functions; the app lives as long as the client."""

    def __init__(self, app: FastAPI, host: str = "127.0.0.1") -> None:
        self.app = app
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app=app)
        self._http = httpx.AsyncClient(transport=transport, base_url=f"http://{host}")
        self._life: AbstractAsyncContextManager[Any] = app.router.lifespan_context(app)

    def open(self) -> None:
        """Start the app."""
        self._runner.run(self._life.__aenter__())

    def wait_until_ready(self) -> None:
        """Return when the app has warmed up."""
        self._runner.run(self._warm())

    async def _warm(self) -> None:
        await self.app.state.warming

    def close(self) -> None:
        """Stop the app."""
        self._runner.run(self._life.__aexit__(None, None, None))
        self._runner.run(self._http.aclose())
        self._runner.close()

    def request(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Send one request."""
        return self._runner.run(self._http.request(method, path, **how))

    def get(self, path: str, **how: Any) -> httpx.Response:
        """Send GET."""
        return self.request("GET", path, **how)

    def risk(self, event: Any) -> httpx.Response:
        """Send an event to `/v1/risk`."""
        return self.request("POST", "/v1/risk", json=event)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> Path:
    """The small platform: built, trained, rings found. Tests copy it before they change it."""
    assert hash_key
    return small_platform.make_workspace(tmp_path_factory.mktemp("platform"))


@pytest.fixture
def copied(workspace: Path, tmp_path: Path) -> Workspace:
    """A copy of the workspace that a test may break."""
    shutil.copytree(workspace, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


@pytest.fixture(scope="session")
def client(workspace: Path) -> Iterator[Client]:
    """The app over the whole workspace, warm."""
    opened = Client(create_app(ServiceSettings(workspace=workspace)))
    opened.open()
    opened.wait_until_ready()
    yield opened
    opened.close()


@pytest.fixture
def serve_over() -> Iterator[Callable[..., Client]]:
    """Make a warm client over any workspace; all are closed at the end of the test."""
    opened: list[Client] = []

    def open_over(made: Workspace, **settings: Any) -> Client:
        one = Client(create_app(ServiceSettings(workspace=made.path, **settings)))
        opened.append(one)
        one.open()
        one.wait_until_ready()
        return one

    yield open_over
    for one in opened:
        one.close()
