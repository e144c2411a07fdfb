"""Compiled code gives the bits of the readable one; what it is made of is the same table."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trading_pipeline.core.features.alpha158 import NAMES, compiled, compute
from trading_pipeline.core.features.panel import fill
from trading_pipeline_tests.core.features.test_alpha158 import AXIS, BARS, assert_same_bits

COMPARE = """
import json, sys
import polars as pl
from trading_pipeline.core.features.alpha158 import NAMES, compiled, compute
from trading_pipeline.core.features.panel import fill
bars = pl.read_parquet(sys.argv[1])
filled = fill(bars, sessions=bars["session"].unique().sort().to_list())
plain, other = compute(filled), compiled(filled)
apart = [
    name for name, ours in zip(NAMES, other, strict=True)
    if not plain[name].equals(pl.Series(ours, nan_to_null=True).alias(name), null_equal=True)
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

    found = pl.DataFrame(dict(zip(NAMES, compiled(filled), strict=True)), nan_to_null=True)

    assert_same_bits(found, plain.select(NAMES))


@pytest.mark.soak
def test_a_symbol_alone_has_its_bits_of_the_whole_panel() -> None:
    filled = fill(BARS, sessions=AXIS)
    whole = compiled(filled)

    for symbol in filled["symbol"].unique():
        rows = (filled["symbol"] == symbol).to_numpy()
        alone = compiled(filled.filter(rows))
        assert np.array_equal(alone, whole[:, rows], equal_nan=True)
