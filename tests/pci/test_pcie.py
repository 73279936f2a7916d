"""The PCI Express capability: roles, links, slots, limits, and the reset of one function."""

import pytest

from virtlab.pci.capabilities import Express
from virtlab.pci.config import Header
from virtlab.pci.express import ENDPOINT_AT, EXPRESS_AT, make_express
from virtlab.pci.function import Function, Identity
from virtlab.pci.pcie import EXPRESS_TYPES, LAMP_OFF, LAMP_ON, SPEEDS, express_length

CONTROL = ENDPOINT_AT + Express.DEVICE_CONTROL.offset
FLR = Express.DEVICE_CONTROL.INITIATE_FLR.mask


def endpoint(**options):
    made = Function(Identity(0x1AF4, 1, 0xFF0000), name="f", **options)
    return make_express(made, serial=0x0011_2233_4455_6677)


@pytest.mark.parametrize(("role", "number"), EXPRESS_TYPES.items())
def test_a_role_is_a_number(role, number):
    """7.8.2: Device/Port Type; version 2."""
    word = Express(role).read(0x02, 2)
    assert Express.EXPRESS_CAPABILITIES.decode(word)["TYPE"] == number
    assert Express.EXPRESS_CAPABILITIES.decode(word)["VERSION"] == 2
    assert Express.EXPRESS_CAPABILITIES.decode(word)["SLOT"] == 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"role": "cable"}, "'cable' is no role: endpoint, "),
        ({"role": "endpoint", "slot": 1}, "endpoint: no slot; only these have one: root port, d"),
        ({"payload": 64}, "a payload is 128, .* not 64"),
        ({"payload": 8192}, "a payload is 128, .* not 8192"),
        ({"payload": 300}, "a payload is 128, .* not 300"),
        ({"speed": 0}, "a link's speed is 1 to 6, not 0"),
        ({"speed": len(SPEEDS) + 1}, "a link's speed is 1 to 6, not 7"),
        ({"width": 3}, "lanes, not 3"),
    ],
)
def test_what_cannot_be_is_misuse(options, why):
    with pytest.raises(ValueError, match=why):
        Express(**options)


def test_a_link_is_as_fast_and_as_wide_as_it_can():
    """7.8.6, 7.8.8, 7.8.18: maximum, current, and all supported speeds."""
    port = Express("root port", port=7, speed=3, width=8)
    can = Express.LINK_CAPABILITIES.decode(port.LINK_CAPABILITIES)
    assert (can["MAX_SPEED"], can["MAX_WIDTH"], can["PORT"]) == (3, 8, 7)
    now = Express.LINK_STATUS.decode(port.LINK_STATUS)
    assert (now["SPEED"], now["WIDTH"]) == (3, 8)
    assert Express.LINK_CAPABILITIES_2.SPEEDS.get(port.LINK_CAPABILITIES_2) == 0b111
    assert Express.LINK_CONTROL_2.TARGET_SPEED.get(port.LINK_CONTROL_2) == 3


@pytest.mark.parametrize(
    "role", ["root complex integrated endpoint", "root complex event collector"]
)
def test_inside_the_root_complex_there_is_no_link(role):
    """7.8.6: link registers are not there; what is written stays nothing."""
    made = Express(role)
    for reg in (Express.LINK_CONTROL, Express.LINK_CONTROL_2):
        made.write(reg.offset, 2, 0xFFFF)
    links = [reg.name for reg in Express.registers if reg.name.startswith("LINK")]
    assert [made.values[name] for name in links] == [0] * 6


def test_a_slot_has_a_number_and_a_card_in_it():
    """7.8.2: Slot Implemented; 7.8.9: Physical Slot Number; 7.8.11: Presence Detect State."""
    port = Express("downstream port", slot=5)
    assert Express.EXPRESS_CAPABILITIES.SLOT.get(port.EXPRESS_CAPABILITIES)
    assert Express.SLOT_CAPABILITIES.SLOT_NUMBER.get(port.SLOT_CAPABILITIES) == 5
    assert Express.SLOT_STATUS.PRESENCE_DETECT.get(port.SLOT_STATUS)
    assert not Express.SLOT_STATUS.PRESENCE_DETECT.get(Express("root port").SLOT_STATUS)


@pytest.mark.parametrize(
    ("role", "forwarding", "root"),
    [("root port", 1, 1), ("downstream port", 1, 0), ("upstream port", 0, 0), ("endpoint", 0, 0)],
)
def test_some_registers_are_for_some_roles(role, forwarding, root):
    """7.8.12: root control at the root only; 7.8.16: ARI forwarding at ports above a link."""
    made = Express(role)
    made.write(Express.DEVICE_CONTROL_2.offset, 2, 0xFFFF)
    made.write(Express.ROOT_CONTROL.offset, 2, 0xFFFF)
    able = Express.DEVICE_CAPABILITIES_2.ARI_FORWARDING.get(made.DEVICE_CAPABILITIES_2)
    on = Express.DEVICE_CONTROL_2.ARI_FORWARDING.get(made.DEVICE_CONTROL_2)
    assert (able, on) == (forwarding, forwarding)
    assert made.ROOT_CONTROL == 0x1F * root


@pytest.mark.parametrize(("asked", "bytes_"), [(0, 128), (1, 256), (2, 512), (3, 512), (7, 512)])
def test_a_payload_is_what_software_set_and_no_more_than_it_can(asked, bytes_):
    """7.8.4: Max_Payload_Size must not exceed Max_Payload_Size Supported."""
    made = Express(payload=512)
    made.write(Express.DEVICE_CONTROL.offset, 2, Express.DEVICE_CONTROL.MAX_PAYLOAD.put(0, asked))
    assert made.max_payload == bytes_


@pytest.mark.parametrize(("asked", "bytes_"), [(0, 128), (2, 512), (5, 4096), (6, 4096), (7, 4096)])
def test_a_read_request_is_what_software_set(asked, bytes_):
    """7.8.4: 110b and 111b are reserved."""
    made = Express()
    assert made.max_read_request == 512
    field = Express.DEVICE_CONTROL.MAX_READ_REQUEST
    made.write(Express.DEVICE_CONTROL.offset, 2, field.put(0, asked))
    assert made.max_read_request == bytes_


def test_device_status_is_cleared_by_ones():
    """7.8.5: four error bits, RW1C."""
    made = Express()
    made.DEVICE_STATUS = 0x2F
    made.write(Express.DEVICE_STATUS.offset, 2, 0x0003)
    assert made.DEVICE_STATUS == 0x2C


# -- function level reset


def test_a_written_1_resets_the_function_and_reads_0():
    """6.6.2, 7.8.4: this bit always returns 0 when read."""
    made = endpoint(pin=1)
    made.config.write(Header.COMMAND.offset, 2, 7)
    made.config.write(Header.INTERRUPT_LINE.offset, 1, 10)
    made.irq.set(True)
    made.config.write(CONTROL, 2, FLR)
    assert made.config.read(Header.COMMAND.offset, 2) == 0
    assert made.config.read(Header.INTERRUPT_LINE.offset, 1) == 0
    assert not made.irq.level
    assert not made.config.read(CONTROL, 2) & FLR


def test_the_settings_of_the_link_survive_it():
    """6.6.2: Max_Payload_Size, ASPM, RCB, Common Clock and Extended Synch are not affected."""
    made = endpoint()
    made.config.write(CONTROL, 2, Express.DEVICE_CONTROL.MAX_PAYLOAD.put(0, 2) | 0xF)
    link = ENDPOINT_AT + Express.LINK_CONTROL.offset
    made.config.write(link, 2, 0xFFFF)
    made.config.write(CONTROL, 2, made.config.read(CONTROL, 2) | FLR)
    after = Express.DEVICE_CONTROL.decode(made.config.read(CONTROL, 2))
    assert (after["MAX_PAYLOAD"], after["MAX_READ_REQUEST"], after["FATAL"]) == (2, 2, 0)
    assert made.config.read(link, 2) == 0x00C8


def test_what_cannot_be_reset_alone_is_not():
    """7.8.3: without the FLR capability the bit does nothing."""
    port = Express("root port")
    port.DEVICE_CONTROL |= FLR
    assert not port.take_flr()
    assert not port.DEVICE_CONTROL & FLR


def test_the_serial_number_is_there_after_a_reset_too():
    made = endpoint()
    made.config.write(CONTROL, 2, FLR)
    assert made.config.read(0x154, 4) == 0x4455_6677
    assert made.config.read(0x158, 4) == 0x0011_2233


# -- how long it is


@pytest.mark.parametrize(
    ("version", "role", "slot", "length"),
    [
        (2, "endpoint", 0, 0x3C),
        (1, "endpoint", 0, 0x14),
        (1, "upstream port", 0, 0x14),
        (1, "downstream port", 1, 0x1C),
        (1, "root port", 0, 0x24),
        (1, "root complex event collector", 0, 0x24),
        (1, "root complex integrated endpoint", 0, 0x0C),
    ],
)
def test_version_1_ends_where_there_is_no_more_to_say(version, role, slot, length):
    """PCI Express 1.1, 7.8."""
    fields = Express.EXPRESS_CAPABILITIES
    word = fields.TYPE.put(fields.VERSION.put(0, version), EXPRESS_TYPES[role])
    assert express_length(fields.SLOT.put(word, slot)) == length


def test_a_role_that_nobody_knows_has_a_link():
    assert express_length(Express.EXPRESS_CAPABILITIES.TYPE.put(1, 15)) == 0x14


def test_the_largest_fits_behind_an_endpoints_own_capabilities():
    assert ENDPOINT_AT + Express.length <= 0x100
    assert EXPRESS_AT + Express.length <= 0x80


def test_the_lamps_of_a_slot_are_switched_and_nothing_else_of_it():
    """Slot Control, 7.8.10: an indicator that the slot has can be told on, blink or off."""
    port = Express("root port", slot=3)
    bits = Express.SLOT_CONTROL
    assert bits.POWER_INDICATOR.get(port.SLOT_CONTROL) == LAMP_ON
    assert bits.ATTENTION_INDICATOR.get(port.SLOT_CONTROL) == LAMP_OFF
    port.write(bits.offset, 2, 0xFFFF)
    assert port.SLOT_CONTROL == bits.POWER_INDICATOR.mask | bits.ATTENTION_INDICATOR.mask
    without = Express("root port")
    without.write(bits.offset, 2, 0xFFFF)
    assert without.SLOT_CONTROL == 0
