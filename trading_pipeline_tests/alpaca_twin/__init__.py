"""A loopback Alpaca: REST, trade updates and market data, with real accounting and faults."""

from trading_pipeline_tests.alpaca_twin.faults import Fault
from trading_pipeline_tests.alpaca_twin.server import KEY, SECRET, AlpacaTwin

__all__ = ["KEY", "SECRET", "AlpacaTwin", "Fault"]
