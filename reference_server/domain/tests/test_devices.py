"""Masks, splits and what fits, on a workstation with one 24 GB and one 12 GB card (two_gpus.json)."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain.devices import DeviceMask, Gpu, apart, near_cpus, shortage, vram_free
from reference_server.domain.faults import Fault

GIB = 2**30
GPUS = msgspec.convert(json.loads((Path(__file__).parent / "two_gpus.json").read_text()), list[Gpu])
BIG, SMALL = DeviceMask((0,)), DeviceMask((1,))
SPLIT = DeviceMask((0, 1), (0.67, 0.33))
SHARES = "the shares of tensor_split must be positive and add up to 1"


@pytest.mark.req("ORCH-1103", "ORCH-3008")
def test_cards_of_different_sizes_are_told_apart() -> None:
    assert vram_free(BIG, GPUS) > 2 * vram_free(SMALL, GPUS) * 0.95
    assert [0, 0] == [vram_free(DeviceMask(), GPUS), vram_free(DeviceMask((7,)), GPUS)]


@pytest.mark.req("ORCH-3052", "OC-POOL-3021")
def test_the_tightest_device_caps_a_split() -> None:
    big_free, small_free = (gpu.vram_free for gpu in GPUS)

    assert int(big_free / 0.67) == vram_free(SPLIT, GPUS) < int(small_free / 0.33)
    assert 2 * small_free == vram_free(DeviceMask((0, 1), (0.5, 0.5)), GPUS)


@pytest.mark.req("ORCH-3003", "OC-POOL-3021")
@pytest.mark.parametrize(
    ("mask", "needs", "fault"),
    [
        pytest.param(BIG, 20 * GIB, None, id="fits the big card"),
        pytest.param(BIG, GPUS[0].vram_free, None, id="fills the big card"),
        pytest.param(
            SMALL,
            20 * GIB,
            Fault("too-small", "VRAM of GPU 1 is too small: the model needs 20.0 GiB, 11.6 GiB are free"),
            id="not the small one",
        ),
        pytest.param(SPLIT, 32 * GIB, None, id="fits both by its shares"),
        pytest.param(
            DeviceMask((0, 1), (0.5, 0.5)),
            32 * GIB,
            Fault(
                "too-small",
                "VRAM of GPU 1 is too small: a share of 0.5 of the model needs 16.0 GiB, 11.6 GiB are free",
            ),
            id="half is too much",
        ),
        pytest.param(
            DeviceMask((2,)),
            GIB,
            Fault("misconfigured", "GPU 2 is not there; the driver reports: 0, 1"),
            id="no such card",
        ),
        pytest.param(
            DeviceMask(),
            5 * GIB,
            Fault("too-small", "host memory is too small: the model needs 5.0 GiB, 4.0 GiB are free"),
            id="host",
        ),
        pytest.param(DeviceMask(), 4 * GIB, None, id="fills the host"),
    ],
)
def test_what_does_not_fit_is_said_before_it_is_tried(mask: DeviceMask, needs: int, fault: Fault | None) -> None:
    assert fault == shortage(mask, GPUS, needs=needs, host_free=4 * GIB)


@pytest.mark.req("ORCH-3003")
def test_a_driver_that_reports_no_card_is_said_so() -> None:
    fault = shortage(BIG, [], needs=GIB, host_free=0)

    assert Fault("misconfigured", "GPU 0 is not there; the driver reports: none") == fault


@pytest.mark.req("ORCH-3011", "ORCH-3052", "OC-POOL-3020", "OC-POOL-3021")
@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (DeviceMask((0, 0), (0.5, 0.5)), "a device is named twice"),
        (DeviceMask((0, 1)), "several devices need a tensor_split: one share for each, as in [0.67, 0.33]"),
        (DeviceMask((0,), (1.0,)), "tensor_split needs two devices or more"),
        (DeviceMask((0, 1), (1.0,)), "tensor_split has 1 shares for 2 devices"),
        (DeviceMask((0, 1), (0.9, 0.3)), SHARES),
        (DeviceMask((0, 1), (1.0, 0.0)), SHARES),
    ],
)
def test_a_wrong_mask_is_explained(mask: DeviceMask, said: str) -> None:
    assert said == mask.wrong()


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


@pytest.mark.req("ORCH-3052")
def test_every_device_has_a_share_and_every_share_a_device() -> None:
    assert {0: 0.67, 1: 0.33} == SPLIT.shares()
    with pytest.raises(ValueError, match="shorter"):
        DeviceMask((0, 1), (1.0,)).shares()


@pytest.mark.req("ORCH-3013")
@pytest.mark.parametrize(
    ("mask", "cpus"),
    [
        pytest.param(DeviceMask((0,)), {0, 1}, id="one"),
        pytest.param(DeviceMask((0, 1), (0.5, 0.5)), {0, 1, 2}, id="both-nodes-of-a-split"),
        pytest.param(DeviceMask((0, 2), (0.5, 0.5)), set(), id="one-without-a-hint"),
        pytest.param(DeviceMask(), set(), id="no-gpu"),
    ],
)
def test_an_engine_is_near_the_nodes_of_its_gpus(mask: DeviceMask, cpus: set[int]) -> None:
    gpus = [replace(GPUS[0], cpus=(0, 1)), replace(GPUS[1], cpus=(2,)), replace(GPUS[1], index=2)]

    assert cpus == near_cpus(mask, gpus)


@pytest.mark.req("ORCH-3013")
@pytest.mark.parametrize(
    ("roots", "expected"),
    [
        (("a", "b"), "GPU 0 under a, GPU 1 under b"),
        (("a", "a"), None),
        (("a", None), None),
    ],
)
def test_a_split_over_several_roots_is_told(roots: tuple[str | None, ...], expected: str | None) -> None:
    gpus = [replace(gpu, pci_root=root) for gpu, root in zip(GPUS, roots, strict=True)]

    told = apart(DeviceMask((0, 1), (0.5, 0.5)), gpus)
    assert (expected and f"the model is split over several PCIe roots, which is slower: {expected}") == told
    assert apart(DeviceMask((1,)), gpus) is None
