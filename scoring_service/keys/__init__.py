"""API keys: who may call, and what they may do."""

__all__ = [
    "SCOPES",
    "ApiKey",
    "ApiKeyError",
    "KeyNameInvalid",
    "KeyNameTaken",
    "KeyRepository",
    "KeyRing",
    "KeyUnknown",
    "ScopeInvalid",
]

from scoring_service.keys.errors import ApiKeyError, KeyNameInvalid, KeyNameTaken, KeyUnknown, ScopeInvalid
from scoring_service.keys.key_ring import KeyRing
from scoring_service.keys.repository import SCOPES, ApiKey, KeyRepository
