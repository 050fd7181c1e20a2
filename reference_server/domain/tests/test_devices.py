"""Masks, splits and what fits, on a workstation with one 24 GB and one 12 GB card (two_gpus.json)."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain.devices import DeviceMask, Gpu, shortage, vram_free

GIB = 2**30
GPUS = msgspec.convert(json.loads((Path(__file__).parent / "two_gpus.json").read_text()), list[Gpu])
BIG, SMALL = DeviceMask((0,)), DeviceMask((1,))
SPLIT = DeviceMask((0, 1), (0.67, 0.33))


@pytest.mark.req("ORCH-1103", "ORCH-3008")
def test_cards_of_different_sizes_are_told_apart() -> None:
    assert vram_free(BIG, GPUS) > 2 * vram_free(SMALL, GPUS) * 0.95
    assert 0 == vram_free(DeviceMask(), GPUS)


@pytest.mark.req("ORCH-3052", "OC-POOL-3021")
def test_the_tightest_device_caps_a_split() -> None:
    big_free, small_free = (gpu.vram_free for gpu in GPUS)

    assert int(big_free / 0.67) == vram_free(SPLIT, GPUS) < int(small_free / 0.33)
    assert 2 * small_free == vram_free(DeviceMask((0, 1), (0.5, 0.5)), GPUS)


@pytest.mark.req("ORCH-3003", "OC-POOL-3021")
@pytest.mark.parametrize(
    ("mask", "needs", "said"),
    [
        pytest.param(BIG, 20 * GIB, None, id="fits the big card"),
        pytest.param(
            SMALL,
            20 * GIB,
            "VRAM of GPU 1 is too small: the model needs 20.0 GiB, 11.6 GiB are free",
            id="not the small one",
        ),
        pytest.param(SPLIT, 32 * GIB, None, id="fits both by its shares"),
        pytest.param(
            DeviceMask((0, 1), (0.5, 0.5)), 32 * GIB, "GPU 1 is too small: a share of 0.5", id="half is too much"
        ),
        pytest.param(DeviceMask((2,)), GIB, "GPU 2 is not there; the driver reports: 0, 1", id="no such card"),
        pytest.param(DeviceMask(), 5 * GIB, "host memory is too small", id="host"),
        pytest.param(DeviceMask(), 3 * GIB, None, id="fits the host"),
    ],
)
def test_what_does_not_fit_is_said_before_it_is_tried(mask: DeviceMask, needs: int, said: str | None) -> None:
    fault = shortage(mask, GPUS, needs=needs, host_free=4 * GIB)

    assert (fault is None) == (said is None)
    assert fault is None or (said or "") in fault.text


@pytest.mark.req("ORCH-3011", "ORCH-3052", "OC-POOL-3020", "OC-POOL-3021")
@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (DeviceMask((0, 0), (0.5, 0.5)), "twice"),
        (DeviceMask((0, 1)), "need a tensor_split"),
        (DeviceMask((0,), (1.0,)), "two devices"),
        (DeviceMask((0, 1), (1.0,)), "1 shares for 2 devices"),
        (DeviceMask((0, 1), (0.9, 0.3)), "add up to 1"),
        (DeviceMask((0, 1), (1.0, 0.0)), "positive"),
    ],
)
def test_a_wrong_mask_is_explained(mask: DeviceMask, said: str) -> None:
    assert said in (mask.wrong() or "")


@pytest.mark.req("ORCH-3052")
@pytest.mark.parametrize("mask", [DeviceMask(), BIG, SPLIT])
def test_a_right_mask_is_let_through(mask: DeviceMask) -> None:
    assert mask.wrong() is None


@pytest.mark.req("ORCH-3052")
@given(share=st.floats(0.05, 0.95), needs=st.integers(1, 64 * GIB))
def test_what_is_said_to_be_free_is_what_fits(share: float, needs: int) -> None:
    mask = DeviceMask((0, 1), (share, 1 - share))
    fits = shortage(mask, GPUS, needs=needs, host_free=0) is None

    assert fits == (needs <= vram_free(mask, GPUS))
