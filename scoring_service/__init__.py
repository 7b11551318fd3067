"""The FastAPI service: risk answers, accounts, rings and a read-only console; and the policy that decides."""

__all__ = ["Policy", "ServiceSettings", "create_app", "decisions", "load_policy", "serve"]

from scoring_service.app import create_app, serve
from scoring_service.decisions import decisions
from scoring_service.policy import Policy, load_policy
from scoring_service.settings import ServiceSettings
