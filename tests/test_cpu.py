"""A recorder passes every verb on, and keeps what passed."""

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.cpu import Recorder
from virtlab.hosts.python import BareCpu
from virtlab.memory import GuestMemory
from virtlab.trace import Access


def test_every_verb_is_passed_on_and_kept():
    ports, memory, clock = AddressSpace("port", 16, max_size=4), AddressSpace("memory", 52), Clock()
    memory.map_ram(GuestMemory(4096))
    cpu = Recorder(BareCpu(ports, memory, clock))
    cpu.out(0x80, 7)
    assert cpu.inp(0x80, 2) == 0xFFFF
    cpu.store(0, 0x11223344)
    assert cpu.load(1, 2) == 0x2233
    cpu.write(8, b"abc")
    assert cpu.read(8, 3) == b"abc"
    assert cpu.wait(5) is None
    assert clock.now == 5
    assert cpu.accesses == [
        Access(0, True, "port", 0x80, 1, 7),
        Access(1, False, "port", 0x80, 2, 0xFFFF),
        Access(2, True, "memory", 0, 4, 0x11223344),
        Access(3, False, "memory", 1, 2, 0x2233),
        Access(4, True, "memory", 8, 3, 0x636261),
        Access(5, False, "memory", 8, 3, 0x636261),
    ]
