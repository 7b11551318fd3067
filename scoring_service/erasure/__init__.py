"""`DELETE /v1/accounts/{id}`: forget an account."""

__all__: list[str] = []
