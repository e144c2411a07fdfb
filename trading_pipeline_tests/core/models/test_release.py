"""A release is opened only when every byte is the one that was promoted."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.models.release import Manifest, checksum, verify
from trading_pipeline.errors import ModelCorruptError

TEXT = "tree\nversion=v4\nend of trees\n"
MANIFEST = Manifest(
    strategy="alpha_baseline",
    sha256=checksum(TEXT),
    features=("KMID", "KLEN"),
    feature_version="test-1",
    label="open_to_open",
    symbols=("AAPL", "IBM"),
    trained_from=date(2010, 1, 4),
    last_label=date(2012, 12, 27),
    trained_through=date(2012, 12, 31),
    best_iteration=12,
    metrics={"rank_ic": 0.01},
    version="3",
    run_id="abc",
)
SEALED = MANIFEST.model_dump_json().encode()


def test_what_was_sealed_is_what_is_opened() -> None:
    release = verify(SEALED, TEXT.encode(), where="here")

    assert release.manifest == MANIFEST
    assert release.text == TEXT
    assert release.model_version == f"3-{checksum(TEXT)[:8]}"


@given(place=st.integers(0, len(TEXT) - 1), flip=st.integers(1, 255))
def test_any_changed_byte_is_noticed(place: int, flip: int) -> None:
    changed = bytearray(TEXT.encode())
    changed[place] ^= flip

    with pytest.raises(ModelCorruptError, match="promote the version again"):
        verify(SEALED, bytes(changed), where="here")


@given(length=st.integers(0, len(TEXT) - 1))
@settings(max_examples=20, deadline=None)
def test_any_truncation_is_noticed(length: int) -> None:
    with pytest.raises(ModelCorruptError):
        verify(SEALED, TEXT.encode()[:length], where="here")


@pytest.mark.parametrize("manifest", [b"", b"{}", b"\xff\xfe", SEALED[:-5]])
def test_a_manifest_that_cannot_be_read_is_a_corrupt_model(manifest: bytes) -> None:
    with pytest.raises(ModelCorruptError, match="manifest of here"):
        verify(manifest, TEXT.encode(), where="here")
