"""The table of keys: complete, and in agreement with the controller's translation."""

import pytest

from virtlab.devices.i8042.keys import KEYS, VARIANTS, pressed
from virtlab.devices.i8042.registers import TRANSLATION

ROWS = [*KEYS.values(), *VARIANTS.values()]


def translate(code):
    """What an 8042 makes of bytes of set 2."""
    out, up = [], 0
    for byte in code:
        if byte == 0xF0:
            up = 0x80
        else:
            out.append(TRANSLATION[byte] | up)
            up = 0
    return bytes(out)


def test_a_us_keyboard_has_104_keys():
    assert len(KEYS) == 104


@pytest.mark.parametrize("key", ROWS, ids=lambda key: key.name)
def test_set_2_translated_is_set_1(key):
    assert translate(key.make(2)) == key.make(1)
    assert translate(key.release(2)) == key.release(1)


@pytest.mark.parametrize("scan_set", [1, 2, 3])
def test_no_two_keys_send_the_same(scan_set):
    codes = [key.make(scan_set) for key in KEYS.values()]
    assert len(set(codes)) == 104


def test_translation_has_the_corners_of_the_data_sheet():
    assert (TRANSLATION[0x00], TRANSLATION[0x83], TRANSLATION[0x84]) == (0xFF, 0x41, 0x54)
    assert len(TRANSLATION) == 256
    assert TRANSLATION[0x85:] == bytes(range(0x85, 0x100))


@pytest.mark.parametrize(
    ("name", "scan_set", "make", "up"),
    [
        ("A", 1, "1e", "9e"),
        ("A", 2, "1c", "f01c"),
        ("A", 3, "1c", "f01c"),
        ("UP", 1, "e048", "e0c8"),
        ("UP", 2, "e075", "e0f075"),
        ("F7", 2, "83", "f083"),
        ("PRINT", 1, "e02ae037", "e0b7e0aa"),
        ("PRINT", 2, "e012e07c", "e0f07ce0f012"),
        ("PAUSE", 1, "e11d45e19dc5", ""),
        ("PAUSE", 2, "e11477e1f014f077", ""),
        ("PAUSE", 3, "62", "f062"),
    ],
)
def test_codes_as_the_technical_reference_prints_them(name, scan_set, make, up):
    assert KEYS[name].make(scan_set).hex() == make
    assert KEYS[name].release(scan_set).hex() == up


@pytest.mark.parametrize(
    ("name", "held", "code"),
    [
        ("PRINT", "SHIFT_L", "e037"),
        ("PRINT", "CTRL_R", "e037"),
        ("PRINT", "ALT_R", "54"),
        ("PAUSE", "CTRL_L", "e046e0c6"),
        ("PAUSE", "SHIFT_L", "e11d45e19dc5"),
        ("A", "CTRL_L", "1e"),
    ],
)
def test_a_modifier_changes_what_print_and_pause_send(name, held, code):
    assert pressed(name, {held}).make(1).hex() == code
