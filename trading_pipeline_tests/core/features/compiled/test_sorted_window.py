"""What merges sorted windows merges any: by the zero-one principle, all of zeros and ones do."""

import pytest

from trading_pipeline.core.features.operators import CHAIN


@pytest.mark.parametrize(("new", "old"), [(new, old) for _, new, old in CHAIN])
def test_two_sorted_windows_become_one(new: int, old: int) -> None:
    from trading_pipeline.core.features.compiled.sorted_window import (  # noqa: PLC0415 - numba
        merged,
    )

    exchanges: list[tuple[int, int]] = []
    order = merged(list(range(new)), list(range(new, new + old)), exchanges)

    for ones in range(new + 1):
        for others in range(old + 1):
            wires = [0] * (new - ones) + [1] * ones + [0] * (old - others) + [1] * others
            for low, high in exchanges:
                wires[low], wires[high] = sorted((wires[low], wires[high]))
            found = [wires[wire] for wire in order]
            assert found == sorted(found)
