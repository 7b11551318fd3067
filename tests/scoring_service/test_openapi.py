"""The API's own description: every path, every error, examples that are true."""

from pathlib import Path
from typing import Any

import pytest

from gnn.catalogue import REASON_CATALOGUE
from scoring_service.accounts.examples import ACCOUNT, REASONS
from scoring_service.accounts.schemas import AccountAnswer, AccountReasons
from scoring_service.errors import ErrorBody, catalogue
from scoring_service.rings.examples import PAGE, RING
from scoring_service.rings.schemas import RingDetail, RingPage
from scoring_service.risk.examples import ANSWERS, REQUESTS
from scoring_service.risk.schemas import RiskAnswer
from tests.scoring_service.conftest import Client

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def described(client: Client) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def test_paths_are_those_of_the_product(described: dict[str, Any]) -> None:
    assert {path: sorted(methods) for path, methods in described["paths"].items()} == {
        "/v1/risk": ["post"],
        "/v1/events": ["post"],
        "/v1/labels": ["post"],
        "/v1/labels/{account_id}": ["delete"],
        "/v1/not-linked": ["delete", "post"],
        "/v1/live": ["get"],
        "/v1/accounts/{account_id}": ["delete", "get"],
        "/v1/accounts/{account_id}/reasons": ["get"],
        "/v1/rings": ["get"],
        "/v1/rings/{ring_id}": ["get"],
        "/v1/rings/{ring_id}/benign": ["delete", "post"],
        "/healthz": ["get"],
        "/readyz": ["get"],
    }


def test_every_answer_has_an_example_and_every_error_our_shape(described: dict[str, Any]) -> None:
    for path, methods in described["paths"].items():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                content = response["content"]["application/json"]
                if status == "200":
                    assert "example" in content or "examples" in content, path
                else:
                    assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}, (path, status)
                    for example in content["examples"].values():
                        ErrorBody.model_validate(example["value"])


def test_references_lead_somewhere(described: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for item in value.values() for found in references(item)]
        return [found for item in value for found in references(item)] if isinstance(value, list) else []

    found = references(described)
    assert "#/components/schemas/RiskRequest" in found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in described["components"]["schemas"]


def test_examples_fit_their_models() -> None:
    for answer in ANSWERS.values():
        RiskAnswer.model_validate(answer["value"])
    AccountAnswer.model_validate(ACCOUNT)
    AccountReasons.model_validate(REASONS)
    RingPage.model_validate(PAGE)
    RingDetail.model_validate(RING)


def test_examples_of_reasons_are_in_the_catalogue() -> None:
    for reason in [*REASONS["reasons"], *ANSWERS["ban_evader"]["value"]["reasons"]]:
        assert REASON_CATALOGUE[reason["code"]].safe_for_user == reason["safe_for_user"]


@pytest.mark.parametrize("name", list(REQUESTS))
def test_examples_of_requests_are_answered(fresh: Client, name: str) -> None:
    assert fresh.risk(REQUESTS[name]["value"]).status_code == 200


def test_page_of_the_api_lists_every_error() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    for error in catalogue():
        assert f"| {error.status} | `{error.code}` | {error.title} |" in text


def test_page_of_the_reasons_is_the_catalogue() -> None:
    text = (DOCS / "reasons.md").read_text(encoding="utf-8")
    for kind in REASON_CATALOGUE.values():
        shown = "yes" if kind.safe_for_user else "no"
        assert f"| `{kind.code}` | {kind.title} | {kind.meaning} | {shown} |" in text
    assert text.count("\n| `") == len(REASON_CATALOGUE)


def test_every_path_but_health_takes_a_key(described: dict[str, Any]) -> None:
    assert "ApiKey" in described["components"]["securitySchemes"]
    for path, methods in described["paths"].items():
        for operation in methods.values():
            expected: Any = None if path in {"/healthz", "/readyz"} else [{"ApiKey": []}]
            assert operation.get("security") == expected, path
