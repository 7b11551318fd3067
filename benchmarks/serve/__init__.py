"""What an answer of the service costs, beside a bare endpoint: ``python -m benchmarks.serve``."""

__all__: list[str] = []
