"""What is live, in Redis: the latest quotes, the stream of all of them, and facts."""

from trading_pipeline.adapters.live_store.events import FIRST, EventBus, Heard
from trading_pipeline.adapters.live_store.link import Health, RedisLink
from trading_pipeline.adapters.live_store.quotes import Desired, QuoteStore
from trading_pipeline.adapters.live_store.ticks import Entry, TickQueue
from trading_pipeline.adapters.live_store.writer import QuoteWriter, Wishes

__all__ = [
    "FIRST",
    "Desired",
    "Entry",
    "EventBus",
    "Health",
    "Heard",
    "QuoteStore",
    "QuoteWriter",
    "RedisLink",
    "TickQueue",
    "Wishes",
]
