"""The same functions over many machines: schedules what also runs without Ray.

Importing this package loads neither Ray nor torch; what needs them does so when it is called.
"""

__all__ = [
    "RayMissing",
    "SageSettings",
    "embed_over_ray",
    "etl_over_ray",
    "rings_over_ray",
    "score_accounts",
    "score_here",
    "score_over_ray",
    "train_over_ray",
]

from ray_jobs.embedding import embed_over_ray
from ray_jobs.errors import RayMissing
from ray_jobs.etl import etl_over_ray
from ray_jobs.rings import rings_over_ray
from ray_jobs.sage_training import SageSettings
from ray_jobs.scoring import score_accounts, score_here, score_over_ray
from ray_jobs.training import train_over_ray
