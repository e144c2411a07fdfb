"""The names of everything the live store keeps in Redis, made in one place."""

from dataclasses import dataclass
from typing import Final

NAMESPACE: Final = "trading_pipeline"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys and channels under one namespace."""

    namespace: str = NAMESPACE

    @property
    def prices(self) -> str:
        """Hash: the last sound quote of each symbol."""
        return f"{self.namespace}:prices"

    @property
    def quotes(self) -> str:
        """Stream: every quote, an entry a flush. Also the channel of its copies."""
        return f"{self.namespace}:quotes"

    @property
    def events(self) -> str:
        """Stream: the facts that start work."""
        return f"{self.namespace}:events"

    @property
    def lease(self) -> str:
        """Text: which process writes quotes now; expires when it does not renew it."""
        return f"{self.namespace}:stream:lease"

    @property
    def term(self) -> str:
        """Counter: how often the lease has been given."""
        return f"{self.namespace}:stream:term"

    @property
    def batch(self) -> str:
        """Text: the last flush that was written."""
        return f"{self.namespace}:stream:batch"

    @property
    def heartbeat(self) -> str:
        """Hash: what the stream says of itself, once a second."""
        return f"{self.namespace}:stream:heartbeat"

    @property
    def desired(self) -> str:
        """Hash: whether the stream should run, who said so and why."""
        return f"{self.namespace}:stream:desired"

    @property
    def manual(self) -> str:
        """Set: symbols that a person subscribed to."""
        return f"{self.namespace}:stream:manual"
