"""Compiled code gives the bits of the readable one; what it is made of is the same table."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trading_pipeline.core.features.alpha158 import (
    NAMES,
    OVER_WINDOWS,
    OWN_ROW,
    compiled,
    compute,
)
from trading_pipeline.core.features.panel import fill
from trading_pipeline_tests.core.features.test_alpha158 import AXIS, BARS, assert_same_bits

COMPARE = """
import json, sys
import polars as pl
from trading_pipeline.core.features.alpha158 import (
    NAMES,
    OVER_WINDOWS,
    OWN_ROW,
    compiled,
    compute,
)
from trading_pipeline.core.features.panel import fill
bars = pl.read_parquet(sys.argv[1])
filled = fill(bars, sessions=bars["session"].unique().sort().to_list())
plain, other = compute(filled), compiled(filled)
apart = [
    name for name in NAMES if not plain[name].equals(other[name], null_equal=True)
]
print(json.dumps({"rows": filled.height, "apart": apart}))
"""


def test_the_code_that_is_compiled_does_the_same_sums_without_a_compiler(tmp_path: Path) -> None:
    """Numba steps aside, so that its functions run as Python: slow, and quick to start."""
    symbols = BARS["symbol"].unique().sort()[1:2]
    part = BARS.filter(pl.col("symbol").is_in(symbols.implode()), pl.col("session") <= AXIS[80])
    part.write_parquet(tmp_path / "bars.parquet")

    done = subprocess.run(
        [sys.executable, "-c", COMPARE, str(tmp_path / "bars.parquet")],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=True,
        capture_output=True,
        text=True,
    )

    found = json.loads(done.stdout)
    assert found["rows"] > 60
    assert found["apart"] == []


@pytest.mark.soak
def test_compiled_features_are_to_the_last_bit_those_of_the_readable_code() -> None:
    filled = fill(BARS, sessions=AXIS)
    plain = compute(filled)

    assert_same_bits(compiled(filled), plain.select(NAMES))


@pytest.mark.soak
def test_a_symbol_alone_has_its_bits_of_the_whole_panel() -> None:
    filled = fill(BARS, sessions=AXIS)
    whole = compiled(filled)

    for symbol in filled["symbol"].unique():
        rows = filled["symbol"] == symbol
        assert_same_bits(compiled(filled.filter(rows)), whole.filter(rows))


@pytest.mark.soak
def test_features_of_one_panel_stay_as_they_are_when_another_is_computed() -> None:
    filled = fill(BARS, sessions=AXIS)
    first, before = compiled(filled), compute(filled).select(NAMES)

    compiled(filled.with_columns(pl.col("close") * 2))

    assert_same_bits(first, before)


def test_a_row_of_the_table_becomes_the_text_of_a_loop() -> None:
    from trading_pipeline.core.features.compiled import Name  # noqa: PLC0415 - heavy: numba

    bars: Any = Name()

    assert OVER_WINDOWS["MA"](bars, 5).text == "(rolled_0_0[row] / own_3[row])"
    assert OWN_ROW["KSFT"](bars).text == (
        "((((2.0 * own_3[row]) - own_1[row]) - own_2[row]) / own_0[row])"
    )
    with pytest.raises(ValueError, match="not in tuple"):
        _ = bars.unknown[5].text
