"""Live quotes from Alpaca over its websocket, by alpaca-py."""

from trading_pipeline.adapters.alpaca_stream.bars import gap_bars
from trading_pipeline.adapters.alpaca_stream.feed import AlpacaFeed
from trading_pipeline.adapters.alpaca_stream.rules import FeedRules

__all__ = ["AlpacaFeed", "FeedRules", "gap_bars"]
