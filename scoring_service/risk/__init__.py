"""`POST /v1/risk`: score the account behind one event."""

__all__: list[str] = []
