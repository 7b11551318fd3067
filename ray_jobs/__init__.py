"""The same functions over many machines: schedules what also runs without Ray.

Importing this package does not load Ray; `score_over_ray` does, when it is called.
"""

__all__ = ["RayMissing", "score_accounts", "score_here", "score_over_ray"]

from ray_jobs.errors import RayMissing
from ray_jobs.scoring import score_accounts, score_here, score_over_ray
