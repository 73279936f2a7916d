"""Random programs make the same exits, and leave the same, on every host."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hosts.code_vm import END, vm_with
from tests.hosts.small_hosts import NEEDS
from tests.needs import require
from tests.oracles.x86_code import set_register, straight_code, u32
from virtlab.hosts.real_code import HOSTS
from virtlab.memory import PAGE
from virtlab.vmm.x86_opcodes import EDX


def outcome(host, code, paging):
    """The last exit, the timeline, RAM apart, and the RAM that is left."""
    vm = vm_with(code.hex(), paging=paging)
    with vm.trace.recording() as events:
        last = HOSTS[host].run(vm, code)
    return last, [event[1:] for event in events if event.who != "ram"], vm.ram.read(0, 16 * PAGE)


def whole(program):
    """A processor starts with its own number in EDX; a program here with 0. At its end its
    registers go to RAM, where they are compared."""
    stores = (bytes((0x89, n << 3 | 5)) + u32(0x7000 + 4 * n) for n in range(8))
    return set_register(EDX, 0) + program + b"".join(stores) + bytes.fromhex(END)


@pytest.mark.oracle
@pytest.mark.parametrize("host", NEEDS)
@settings(max_examples=25)
@given(program=straight_code(), paging=st.sampled_from(["ept", "shadow"]))
def test_any_straight_program_does_the_same(host, program, paging):
    require(NEEDS[host])
    assert outcome(host, whole(program), paging) == outcome("python", whole(program), paging)
