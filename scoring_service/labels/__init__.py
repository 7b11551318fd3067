"""`/v1/labels` and `/v1/not-linked`: what people and systems say of accounts, and taking it back."""

__all__: list[str] = []
