"""`GET /v1/accounts/…`: what is known of an account, its score and why."""

__all__: list[str] = []
