"""Alpaca as broker, on paper or live: alpaca-py with timeouts, a rate budget and plain verdicts."""

from trading_pipeline.adapters.alpaca_broker.access import AlpacaAccess
from trading_pipeline.adapters.alpaca_broker.broker import AlpacaBroker
from trading_pipeline.adapters.alpaca_broker.reports import report_of, update_of
from trading_pipeline.adapters.alpaca_broker.updates import AlpacaUpdates

__all__ = ["AlpacaAccess", "AlpacaBroker", "AlpacaUpdates", "report_of", "update_of"]
