"""The read-only console at `/`."""

__all__: list[str] = []
