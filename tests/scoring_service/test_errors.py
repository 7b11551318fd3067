"""Every error has one shape, one code and a line that says what to do."""

import pytest

from scoring_service.errors import ServiceError, Unavailable, catalogue
from tests.scoring_service.conftest import Client
from tests.scoring_service.small_platform import sign_up_event

JSON = {"content-type": "application/json"}


@pytest.fixture
def client(fresh: Client) -> Client:
    """The tests here send events, so each has a journal of its own."""
    return fresh


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/v1/nowhere", {}, 404, "not_found"),
        ("GET", "/v1/rings/", {}, 404, "not_found"),
        ("GET", "/v1/risk", {}, 405, "method_not_allowed"),
        ("DELETE", "/v1/rings", {}, 405, "method_not_allowed"),
        ("POST", "/v1/risk", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ("POST", "/v1/risk", {}, 415, "unsupported_media_type"),
        ("POST", "/v1/risk", JSON, 400, "malformed_json"),
        ("POST", "/v1/rings/r0/benign", JSON, 400, "malformed_json"),
        ("POST", "/v1/rings/r0/benign", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ("GET", "/healthz", {"host": "attacker.example"}, 421, "misdirected_host"),
    ],
)
def test_errors_of_the_way_in(
    client: Client, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    response = client.request(method, path, headers=headers, content=b"{" if method == "POST" else None)
    body = response.json()
    assert (response.status_code, body["error"]["code"]) == (status, code)
    assert set(body["error"]) == {"code", "message", "detail"}
    assert "\n" not in body["error"]["message"]


def test_wrong_method_names_the_right_one(client: Client) -> None:
    response = client.get("/v1/risk")
    assert response.headers["allow"] == "POST"
    assert response.json()["error"]["detail"] == {"allowed": ["POST"]}


def test_body_beyond_the_limit_is_refused_announced_or_not(client: Client) -> None:
    large = {**sign_up_event("large"), "properties": {"text": "x" * 300_000}}
    announced = client.risk(large)
    assert (announced.status_code, announced.json()["error"]["code"]) == (413, "body_too_large")
    assert announced.json()["error"]["detail"] == {"limit_bytes": 262_144}

    async def drops() -> object:
        for _ in range(300):
            yield b"x" * 1024

    streamed = client.request("POST", "/v1/risk", content=drops(), headers=JSON)
    assert (streamed.status_code, streamed.json()["error"]["code"]) == (413, "body_too_large")


def test_request_id_is_taken_or_made(client: Client) -> None:
    assert client.get("/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = client.get("/healthz", headers={"x-request-id": "no spaces allowed"}).headers["x-request-id"]
    assert len(made) == 16


def test_catalogue_of_errors_is_whole_and_unambiguous() -> None:
    errors = catalogue()
    codes = [error.code for error in errors]
    assert len(set(codes)) == len(codes)
    assert all(error.title and error.example for error in errors)
    assert all(400 <= error.status < 600 for error in errors)
    assert ServiceError not in errors
    assert Unavailable not in errors
