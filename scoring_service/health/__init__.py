"""`/healthz` and `/readyz`: is the process alive, may it get traffic."""

__all__: list[str] = []
