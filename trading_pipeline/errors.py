"""Every error the platform raises, arranged by what the caller should do.

TradingPipelineError
├── SettingsError                fix the configuration or the input, then run again      exit 3
├── DataError                    stop: today's data is not fit to trade on               exit 2
│   ├── MissingDataError         a bar, an action or a partition that should be there is not
│   ├── StaleDataError           the newest data is older than the session asked for
│   └── SchemaError              a file or frame does not have the promised shape        exit 3
├── ModelError                   keep the champion, wake someone                         exit 2
│   ├── ModelNotFoundError       there is no release to trade on
│   ├── FeatureMismatchError     the model was trained on other features
│   └── ModelCorruptError        the bytes are not those that were promoted
├── TradingError                 stop trading: our own record is wrong                   exit 2
│   ├── IllegalTransitionError   an order was asked to make a move the table does not have
│   ├── HaltedError              trading is halted, or it cannot be known that it is not
│   └── ReconciliationError      our books and the broker's differ
└── AdapterError                 the outside world failed                                exit 1
    ├── TransientError           the same call may work in a moment (only these are retried)
    └── RejectedError            it answered, and the answer is no

A message is one sentence: what happened, to which thing, and what was expected.
"""

from typing import ClassVar


class TradingPipelineError(Exception):
    """The root of every error raised on purpose; ``exit_code`` is what the CLI ends with."""

    exit_code: ClassVar[int] = 2


class SettingsError(TradingPipelineError):
    """The configuration or the input cannot be used as given."""

    exit_code = 3


class DataError(TradingPipelineError):
    """The data is not fit to trade on."""


class MissingDataError(DataError):
    """Data that should be there is not."""


class StaleDataError(DataError):
    """The newest data is older than the session asked for."""


class SchemaError(DataError):
    """A file or frame does not have the promised shape."""

    exit_code = 3


class ModelError(TradingPipelineError):
    """The model cannot be used; the champion stays."""


class ModelNotFoundError(ModelError):
    """There is no release to trade on."""


class FeatureMismatchError(ModelError):
    """The model was trained on other features than the ones at hand."""


class ModelCorruptError(ModelError):
    """The model's bytes are not those that were promoted."""


class TradingError(TradingPipelineError):
    """Our own trading record is wrong; trading must stop."""


class IllegalTransitionError(TradingError):
    """An order was asked to make a move that the table of legal moves does not have."""


class HaltedError(TradingError):
    """Trading is halted, or its state cannot be known."""


class ReconciliationError(TradingError):
    """Our books and the broker's differ."""


class AdapterError(TradingPipelineError):
    """The outside world failed."""

    exit_code = 1


class TransientError(AdapterError):
    """The same call may work in a moment; only these are retried."""


class RejectedError(AdapterError):
    """The outside world answered, and the answer is no."""
