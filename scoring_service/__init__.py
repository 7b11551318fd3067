"""The FastAPI service: risk answers, accounts, rings and a read-only console."""

__all__: list[str] = []
