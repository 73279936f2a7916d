"""The recorded boots: every answer of the real machine, from the boards of the lessons."""

import pytest

from virtlab import machine
from virtlab.recordings import NAMES, recording, replay

COUNTS = {"uart16550": (4891, 1312), "i8042": (303, 229)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("paging", [None, "ept"])
def test_every_read_of_the_boot_is_answered_as_it_was(name, paging):
    accesses = recording(name)
    assert (len(accesses), sum(not access.write for access in accesses)) == COUNTS[name]
    ports = machine.lesson_vm(paging=paging).vm.ports if paging else machine.lesson_pc().ports
    assert replay(accesses, ports) == []


def test_the_console_comes_out_of_the_port_writes():
    board = machine.lesson_pc()
    replay(recording("uart16550"), board.ports)
    assert board.terminal.text.startswith("INIT: 6.1.0-56-cloud-amd64 up 4.80 0.00\r\n")
    assert board.terminal.text.endswith("INIT-DONE\r\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_answer_is_found_and_named(name):
    accesses = recording(name)
    at = max(i for i, access in enumerate(accesses) if not access.write)
    accesses[at] = accesses[at]._replace(value=accesses[at].value ^ 1)
    (difference,) = replay(accesses, machine.lesson_pc().ports)
    assert difference.access is accesses[at]
    assert str(difference).startswith(f"access {accesses[at].seq}: in 0x")


def test_a_recording_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="there are i8042, uart16550"):
        recording("floppy")
