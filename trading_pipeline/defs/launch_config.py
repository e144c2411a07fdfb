"""What a person may say when launching a run: values, and never the name of a variable.

Dagster itself takes `{env: NAME}` for any text, number or yes of a run's configuration and puts the
environment's value there. Whoever may launch a run could so have a key written to the ledger as the
reason of a halt.
"""

import dagster as dg
from dagster._config import ConfigBoolInstance, ConfigIntInstance, ConfigStringInstance
from dagster._config.pythonic_config import conversion_utils

_PLAIN = {
    "StringSource": ConfigStringInstance,
    "IntSource": ConfigIntInstance,
    "BoolSource": ConfigBoolInstance,
}
for _name, _kind in _PLAIN.items():
    setattr(conversion_utils, _name, _kind)


class LaunchConfig(dg.Config):
    """What a run's configuration is read into: the one base of all of them."""
