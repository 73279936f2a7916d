"""A guest that is told its host addresses: right, pinned for good, and free of exits."""

from tests.vmm.remap_rig import Rig
from virtlab.guest.edu import EduDriver
from virtlab.vmm.host_addresses import HOST_ADDRESS, NO_MEMORY, HostAddresses
from virtlab.vmm.mediator import give_directly
from virtlab.vmm.pinning import Mover
from virtlab.vmm.vcpu import Vmcall
from virtlab.vmm.vmm import NO_SUCH_CALL


def told():
    rig = Rig(mediated=False)
    return rig, HostAddresses(rig.guest.vm, rig.pins)


def ask(rig, *arguments, number=HOST_ADDRESS):
    return rig.guest.cpu.finish(Vmcall(number, arguments))


def test_the_answer_is_where_the_byte_lies():
    rig, _ = told()
    assert ask(rig, 0x5123) == rig.guest.vm.ram.hpa(0x5123)
    assert ask(rig, 0x200000) == NO_MEMORY


def test_another_call_is_not_ours():
    rig, _ = told()
    assert ask(rig, 0x5123, number=0x11) == NO_SUCH_CALL
    assert ask(rig) == ask(rig, 1, 2) == NO_SUCH_CALL


def test_a_page_that_was_told_never_moves_again():
    rig, service = told()
    for _ in range(3):
        ask(rig, 0x5123)
    ask(rig, 0x5FFF)
    frame = rig.guest.vm.ram.hpa(0x5000)
    assert rig.pins.counts == {frame: 1}
    assert service.told == {frame}
    assert Mover(rig.board.frames, rig.pins).move(rig.guest.vm, 0x5000) is None
    assert Mover(rig.board.frames, rig.pins).move(rig.guest.vm, 0x6000)


def test_then_a_request_needs_one_exit_the_halt():
    """The card's registers are mapped by EPT, and the guest names the host address itself."""
    rig, _ = told()
    guest, physical = rig.guest, rig.board.cards.edu
    give_directly(guest.vm, guest.pc.cards.edu, physical, "BAR0")
    hpa = ask(rig, 0x5000)
    guest.cpu.write(0x5000, b"straight to it")
    driver = EduDriver(guest.cpu, guest.slot.bar(0))
    assert guest.exits(lambda: driver.to_device(hpa, 14, interrupt=True)) == 1
    assert bytes(physical.edu.buffer[:14]) == b"straight to it"
