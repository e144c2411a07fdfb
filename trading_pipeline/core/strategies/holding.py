"""From entries to what a rule-based strategy wants to hold: entries last until an exit."""

from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.strategies.indicators import Values

Flags = npt.NDArray[np.bool_]
"""Shape (rows, lanes)."""

_NOTHING: Final = 1e-12


class Exits(BaseModel):
    """When a position ends, whatever else its strategy says; closes against the entry's close."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stop: float = Field(default=0.05, gt=0, le=1, description="loss, as a share, that ends it")
    target: float = Field(default=0.10, gt=0, le=10, description="gain, as a share, that ends it")
    sessions: int = Field(default=20, ge=1, le=250, description="bars it is held at most")


class _State:
    """Where every lane stands: what it holds, since which close, for how long, barred from what."""

    def __init__(self, lanes: int) -> None:
        self.held = np.zeros(lanes)
        self.price = np.ones(lanes)
        self.age = np.zeros(lanes)
        self.barred = np.zeros(lanes)

    def leave(self, close: Values, ends: Flags, exits: Exits) -> None:
        side = np.sign(self.held)
        gain = (close / self.price - 1) * side
        forced = (side != 0) & (
            (gain <= -exits.stop + _NOTHING)
            | (gain >= exits.target - _NOTHING)
            | (self.age >= exits.sessions)
        )
        self.barred = np.where(forced, side, self.barred)
        self.held = np.where(forced | ends, 0.0, self.held)

    def enter(self, close: Values, entry: Values) -> None:
        way = np.sign(entry)
        self.barred = np.where(way == self.barred, self.barred, 0.0)
        enters = (way != 0) & (way != self.barred) & (way != np.sign(self.held))
        self.held = np.where(enters, entry, self.held)
        self.price = np.where(enters, close, self.price)
        self.age = np.where(enters, 1.0, self.age + 1)


def hold(entry: Values, close: Values, *, longs: Flags, shorts: Flags, exits: Exits) -> Values:
    """Return what is wanted at each close: the entry's signed confidence until the position ends.

    `entry` is above 0 to go long, below to go short, 0 or NaN to do nothing; `longs` and `shorts`
    say where a long or a short may be kept. A position also ends at a stop, a target or its age,
    and then the same entry is not taken again before it has lapsed. The opposite entry turns a
    position around. All shapes are (rows, lanes); everything begins flat at row 0.
    """
    out, state = np.zeros_like(close), _State(close.shape[1])
    wanted = np.nan_to_num(entry)
    for row, price in enumerate(close):
        ends = ((state.held > 0) & ~longs[row]) | ((state.held < 0) & ~shorts[row])
        state.leave(price, ends, exits)
        state.enter(price, wanted[row])
        out[row] = state.held
    return out
