"""`delay` and `slice`, a piece at a time: when it leaves the proxy, and in which bytes. A broken one is seen."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import cast

import pytest

from chaos.faults.delay import DELAY_MS, Delay
from chaos.faults.network import NetworkFault
from chaos.faults.slice import SLICE_BYTES, SLICED_BYTES_MAX, Slice
from chaos.proxy import Connection, Link

FRAME = 'event: token\nid: 1\ndata: {"t":"水","i":0}\n\n'.encode()
FRAMES = FRAME * 5
LONG = FRAME * 40
CHARACTER, BLANK_LINE = "水".encode(), b"\n\n"
SEEDS = range(20)


@dataclass
class Writes:
    """The side of a connection that a trouble writes to: every write on its own, and when it came."""

    pieces: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        self.pieces.append(data)
        self.times.append(asyncio.get_running_loop().time())

    async def drain(self) -> None:
        await asyncio.sleep(0)


class DoesNotWait(Delay):
    """Broken: says that it held the piece back."""

    async def carry(self, data: bytes, link: Link) -> None:
        self.hit()
        await link.send(data)


class PassesWhole(Slice):
    """Broken: says that it cut the piece up."""

    async def carry(self, data: bytes, link: Link) -> None:
        self.hit()
        await link.send(data)


def carried(fault: NetworkFault, *pieces: bytes, seed: int = 3) -> tuple[Writes, list[float]]:
    """What leaves the proxy, and when each piece came to it."""
    writes, came = Writes(), list[float]()

    async def carry_all() -> None:
        link = Link("to-client", asyncio.StreamReader(), cast("asyncio.StreamWriter", writes), Connection())
        for piece in pieces:
            came.append(asyncio.get_running_loop().time())
            await fault.carry(piece, link)

    fault.rng = random.Random(seed)
    asyncio.run(carry_all())
    return writes, came


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(("kind", "waits"), [(Delay, True), (DoesNotWait, False)])
def test_every_piece_is_held_back_and_comes_after_the_one_before(kind: type[Delay], *, waits: bool) -> None:
    """The shortest wait is a lower bound: a machine that is busy can only make it longer."""
    pieces = [b"%d" % number for number in range(20)]
    fault = kind("clients")
    writes, came = carried(fault, *pieces)

    assert (pieces, len(pieces)) == (writes.pieces, fault.hits)
    held = [left - at for at, left in zip(came, writes.times, strict=True)]
    assert waits == (min(held) >= DELAY_MS[0] / 1000)


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(("kind", "cuts"), [(Slice, True), (PassesWhole, False)])
def test_a_piece_arrives_in_slices_of_a_few_bytes(kind: type[Slice], *, cuts: bool) -> None:
    for seed in SEEDS:
        pieces = carried(kind("clients"), FRAMES, seed=seed)[0].pieces
        sizes = [len(piece) for piece in pieces]

        assert FRAMES == b"".join(pieces)
        assert cuts == (max(sizes) <= SLICE_BYTES[1])


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize("mark", [CHARACTER, BLANK_LINE], ids=["character", "end-of-frame"])
@pytest.mark.parametrize(("kind", "cuts"), [(Slice, True), (PassesWhole, False)])
def test_characters_and_ends_of_frames_are_cut_in_the_middle(kind: type[Slice], mark: bytes, *, cuts: bool) -> None:
    whole = [
        sum(piece.count(mark) for piece in carried(kind("clients"), FRAMES, seed=seed)[0].pieces) for seed in SEEDS
    ]

    assert cuts == (min(whole) < FRAMES.count(mark))


@pytest.mark.req("OC-TEST-7050")
@pytest.mark.parametrize(("size", "hits"), [(SLICE_BYTES[1], 0), (SLICE_BYTES[1] + 1, 1)])
def test_a_piece_that_may_have_passed_whole_is_no_hit(size: int, hits: int) -> None:
    fault = Slice("clients")
    carried(fault, b"x" * size)

    assert hits == fault.hits


def test_a_long_piece_is_sliced_at_its_beginning_only() -> None:
    *slices, rest = carried(Slice("clients"), LONG)[0].pieces

    assert LONG == b"".join([*slices, rest])
    assert max(map(len, slices)) <= SLICE_BYTES[1]
    assert SLICED_BYTES_MAX <= sum(map(len, slices)) < SLICED_BYTES_MAX + SLICE_BYTES[1]
