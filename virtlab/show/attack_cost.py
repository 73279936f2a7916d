"""What the checks cost: comparisons, counted in the interpreter, and one ratio, measured.

    pop         9 + 10 n      for a chain of n buffers to read
    pop_many    as many for 1,024 chains as for 64

The idea: a check is a comparison, and the interpreter can say each time that it makes one. So the
price of a chain is a number, and not an opinion.

The rule that keeps it simple: only comparisons in `virtlab.virtio` and `virtlab.memory` count, and
only those between two values. Array passes are counted by `batch_run`.

The measured ratio compares `pop` with `bare_pop`, which makes the same `Chain` and believes all.
"""

from __future__ import annotations

import dis
import sys
from collections import Counter
from collections.abc import Callable
from time import perf_counter_ns
from types import CodeType, FrameType
from typing import Any

from virtlab.memory import GuestMemory
from virtlab.show.attack_hand import RINGS
from virtlab.show.batch_clock import Clock, best
from virtlab.show.batch_rings import BatchRing
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.layouts import DESC, NEXT, WRITE, SplitRings, packer
from virtlab.virtio.split import SplitQueue

_COMPARE = dis.opmap["COMPARE_OP"]
_descriptor = packer(DESC)
DATA, LENGTH = 0x3000, 64


class Tracer:
    """What the interpreter is asked to call: it counts comparisons in `found`, by function."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self._codes: dict[CodeType, bytes] = {}

    def called(self, frame: FrameType, event: str, argument: object) -> Any:
        """A function begins: look inside, if it is the library's."""
        module = frame.f_globals.get("__name__", "")
        if not (module.startswith("virtlab.virtio.") or module == "virtlab.memory"):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self.inside

    def inside(self, frame: FrameType, event: str, argument: object) -> Any:
        """A step in it."""
        if event == "opcode":
            code = self._codes.setdefault(frame.f_code, frame.f_code.co_code)
            self.found[frame.f_code.co_name] += code[frame.f_lasti] == _COMPARE
        return self.inside


def comparisons(work: Callable[[], object]) -> Counter[str]:
    """How many comparisons each function of the library makes while it does `work`."""
    tracer, before = Tracer(), sys.gettrace()
    sys.settrace(tracer.called)
    try:
        work()
    finally:
        sys.settrace(before)
    return +tracer.found


def one_chain(buffers: int) -> tuple[GuestMemory, SplitQueue]:
    """Memory and a queue of eight in which one chain waits, of so many buffers to read."""
    ram = GuestMemory(0x8000)
    for index in range(buffers):
        last = index == buffers - 1
        fields = DATA + LENGTH * index, LENGTH, 0 if last else NEXT, index + 1
        ram.write(RINGS.desc_at(index), _descriptor.pack(*fields))
    ram.store(RINGS.avail_field("idx"), 2, 1)
    queue = SplitQueue(ram)
    queue.enable(RINGS)
    return ram, queue


def chain_comparisons(buffers: int) -> Counter[str]:
    """What `pop` compares for one chain of so many buffers, by function."""
    _, queue = one_chain(buffers)
    return comparisons(queue.pop)


def batch_comparisons(n: int) -> int:
    """What `pop_many` compares for `n` chains of one descriptor, other buffers than before."""
    ring = BatchRing("single", n)
    ring.warm("other")
    return comparisons(ring.queue.pop_many).total()


def bare_pop(ram: GuestMemory, rings: SplitRings, last_avail: int) -> Chain | None:
    """The next chain, as the ring says: nothing is checked. For measuring, and for nothing else."""
    memory = ram.bytes.data
    idx = rings.avail_field("idx")
    if int.from_bytes(memory[idx : idx + 2], "little") == last_avail:
        return None
    entry = rings.avail_at(last_avail)
    head = index = int.from_bytes(memory[entry : entry + 2], "little")
    buffers = []
    while True:
        at = rings.desc + 16 * index
        addr, length, flags, index = _descriptor.unpack(memory[at : at + 16])
        buffers.append(Buffer(addr, length, bool(flags & WRITE)))
        if not flags & NEXT:
            return Chain(head, tuple(buffers), len(buffers))


def measured(buffers: int, runs: int = 200, clock: Clock = perf_counter_ns) -> tuple[int, int]:
    """The quickest `pop` and the quickest `bare_pop` of one chain, in ns."""
    ram, queue = one_chain(buffers)

    def again() -> None:
        queue.reset()
        queue.enable(RINGS)

    checked = best(queue.pop, again, runs, clock)
    return checked, best(lambda: bare_pop(ram, RINGS, 0), runs=runs, clock=clock)
