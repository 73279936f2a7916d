"""SeaBIOS and Linux started a keyboard controller. Ours gives every answer that one gave."""

from importlib.resources import files

import pytest

from virtlab.devices.i8042 import I8042, Port92, Ps2Keyboard
from virtlab.trace import load_accesses

TRACE = files("virtlab") / "data" / "traces" / "i8042.tsv.gz"


def replay(controller, port92):
    """Do every access; give (reads compared, reads by region, those that differ)."""
    reads, differ = {}, []
    for access in load_accesses(TRACE):
        fast = access.region == "port92"
        device, offset = (
            (port92, access.address - 0x92) if fast else (controller, access.address - 0x60)
        )
        if access.write:
            device.write(offset, access.size, access.value)
        else:
            reads[access.region] = reads.get(access.region, 0) + 1
            if device.read(offset, access.size) != access.value:
                differ.append(access)
    return reads, differ


def test_every_answer_of_the_recorded_boot():
    reads, differ = replay(I8042(), Port92())
    assert reads == {"port92": 89, "i8042-cmd": 112, "i8042-data": 28}
    assert differ == []


class Untranslated(I8042):
    def _next_of_keyboard(self):
        return self.keyboard.send() if self.keyboard.ready else None


def without_self_test():
    controller = I8042()
    controller.write = lambda o, s, v: I8042.write(controller, o, s, 0xAB if v == 0xAA else v)
    return controller


def without_keyboard():
    keyboard = Ps2Keyboard()
    keyboard.plugged = False
    return I8042(keyboard)


@pytest.mark.parametrize(
    ("build", "wrong"),
    [
        (Untranslated, 1),
        (without_self_test, 108),
        (without_keyboard, 30),
        (lambda: I8042(data_sheet=True), 104),
    ],
)
def test_the_replay_sees_a_wrong_controller(build, wrong):
    _, differ = replay(build(), Port92())
    assert len(differ) == wrong
