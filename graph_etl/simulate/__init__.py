"""A seeded simulator of a game platform under attack: data to learn, to demonstrate and to test on."""

from graph_etl.simulate.config import SimulationConfig
from graph_etl.simulate.loading import load_simulation
from graph_etl.simulate.platform import SimulatedPlatform, simulate

__all__ = ["SimulatedPlatform", "SimulationConfig", "load_simulation", "simulate"]
