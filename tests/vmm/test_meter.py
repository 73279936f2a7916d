"""The meter: what is between its two ends, and nothing else."""

from tests.vmm.rig import Host, vm_on
from virtlab.vmm.meter import Cost, Meter


def test_an_exit_is_two_world_switches_and_its_time():
    vm, _, _ = vm_on(Host())
    vm.cpu.inp(0x3FD)
    with Meter(vm) as cost:
        assert cost.cost == Cost()
        vm.cpu.inp(0x3FD)
        assert (cost.exits, cost.switches, cost.ns) == (1, 2, 230)
        vm.trace.emit("world switch")
        vm.trace.emit("world switch")
    vm.cpu.inp(0x3FD)
    assert cost.cost == (1, 4, 230)
    assert repr(cost) == "1 exit, 4 world switches, 230 ns"


def test_it_can_be_used_again():
    vm, _, _ = vm_on(Host())
    meter = Meter(vm)
    for n in (1, 3):
        with meter:
            for _ in range(n):
                vm.cpu.inp(0x3FD)
        assert meter.exits == n
