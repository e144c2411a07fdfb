"""A broker that keeps its own account and fills at the open of each session."""

from trading_pipeline.adapters.simulated_broker.broker import SimulatedBroker

__all__ = ["SimulatedBroker"]
