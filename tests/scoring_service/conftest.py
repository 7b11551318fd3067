"""One small workspace, really built and trained, and an app over it, for all tests of the service."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import FastAPI

from graph_etl import Workspace
from scoring_service import ServiceSettings, create_app
from scoring_service.live import LiveState
from tests.scoring_service import small_platform

T = TypeVar("T")


class Client:
    """Calls an app over HTTP from plain functions; the app lives as long as the client."""

    def __init__(self, app: FastAPI, host: str = "127.0.0.1") -> None:
        self.app = app
        self._is_closed = False
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
        """Stop the app; a second time does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        self._runner.run(self._life.__aexit__(None, None, None))
        self._runner.run(self._http.aclose())
        self._runner.close()

    def request(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Send one request."""
        return self._runner.run(self._http.request(method, path, **how))

    def get(self, path: str, **how: Any) -> httpx.Response:
        """Send GET."""
        return self.request("GET", path, **how)

    def post(self, path: str, **how: Any) -> httpx.Response:
        """Send POST."""
        return self.request("POST", path, **how)

    def risk(self, event: Any, **how: Any) -> httpx.Response:
        """Send an event to `/v1/risk`."""
        return self.request("POST", "/v1/risk", json=event, **how)

    @property
    def state(self) -> LiveState:
        """What the process holds."""
        state: LiveState = self.app.state.live
        return state

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Run something in the app's loop."""
        return self._runner.run(what)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> Path:
    """The small platform: built, trained, rings found. Tests copy it before they change it."""
    assert hash_key
    return small_platform.make_workspace(tmp_path_factory.mktemp("platform"))


def _copy(workspace: Path, to: Path) -> None:
    """Copy the workspace without its store: commands that only read it may have made one."""
    shutil.copytree(workspace, to, ignore=shutil.ignore_patterns("state.db*"))


@pytest.fixture
def copied(workspace: Path, tmp_path: Path) -> Workspace:
    """A copy of the workspace that a test may break."""
    _copy(workspace, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


def _opened(app: FastAPI) -> Client:
    opened = Client(app)
    opened.open()
    opened.wait_until_ready()
    return opened


@pytest.fixture(scope="session")
def client(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The app over a whole workspace, warm; for tests that only read."""
    own = tmp_path_factory.mktemp("read") / "workspace"
    _copy(workspace, own)
    opened = _opened(create_app(ServiceSettings(workspace=own)))
    yield opened
    opened.close()


@pytest.fixture
def fresh(copied: Workspace) -> Iterator[Client]:
    """The app over a workspace of its own, warm, with nothing in its journal; for tests that write."""
    opened = _opened(create_app(ServiceSettings(workspace=copied.path)))
    yield opened
    opened.close()


@pytest.fixture
def serve_over() -> Iterator[Callable[..., Client]]:
    """Make a warm client over any workspace; all are closed at the end of the test."""
    opened: list[Client] = []

    def open_over(made: Workspace, **settings: Any) -> Client:
        one = _opened(create_app(ServiceSettings(workspace=made.path, **settings)))
        opened.append(one)
        return one

    yield open_over
    for one in opened:
        one.close()
