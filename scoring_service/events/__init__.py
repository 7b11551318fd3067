"""`POST /v1/events`: events that are kept and not scored."""

__all__: list[str] = []
