"""`GET /v1/rings…`: ranked rings and what proves each of them."""

__all__: list[str] = []
