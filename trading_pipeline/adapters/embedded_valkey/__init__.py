"""A Valkey of a data folder's own, for where no Redis is configured: one for all who want it.

The first that wants it starts it, others find it by a file that only its owner can read, and it
ends with the last one, however that ends. It listens on loopback, with a password that is on no
command line, and keeps what it holds in the folder for the next time.
"""

from trading_pipeline.adapters.embedded_valkey.place import running
from trading_pipeline.adapters.embedded_valkey.server import EmbeddedValkey

__all__ = ["EmbeddedValkey", "running"]
