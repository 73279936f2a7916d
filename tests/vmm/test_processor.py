"""The loop for guests of machine code: who is asked, and when it ends."""

import pytest

from virtlab.vmm.exits import HltExit, IoExit, TripleFault
from virtlab.vmm.processor import run_guest
from virtlab.vmm.vcpu import Resume


class Script:
    """A processor that exits as it is told, and a VMM that answers as it is told."""

    def __init__(self, *pairs):
        self.pairs = list(pairs)
        self.resumed = []

    def run(self):
        return self.pairs[0][0]

    def handle(self, exit):
        assert exit is self.pairs[0][0]
        return self.pairs[0][1]

    def resume(self, exit, resume):
        self.resumed.append((exit, resume))
        self.pairs.pop(0)


def test_every_exit_is_handled_and_resumed_until_a_halt_that_nothing_ends():
    read, woken = (IoExit(0x60, 1, False), Resume(7)), (HltExit(5), Resume(0x21))
    script = Script(read, woken, (HltExit(0), Resume(None)))
    assert run_guest(script, script) == HltExit(0)
    assert script.resumed == [read, woken]


def test_a_triple_fault_is_the_end():
    script = Script((TripleFault(), Resume(0)))
    assert run_guest(script, script) == TripleFault()
    assert script.resumed == []


def test_a_guest_that_never_halts_is_stopped():
    script = Script(*[(IoExit(0x80, 1, True), Resume(0))] * 9)
    with pytest.raises(ValueError, match="not halted after 9 exits"):
        run_guest(script, script, limit=9)
