"""The keys of a keyboard, and the scan codes that each of them sends.

One table, one row a key: the name on the cap, its codes in the three scan-code sets, and what
kind of key it is in set 3. The keyboard encodes from it, the guest's driver decodes with it, the
tests check it against the controller's own translation table.

A code is sent when the key goes down (*make*) and another when it comes up (*break*):

    set 1   the make code with bit 7 set            1E ... 9E       E0 48 ... E0 C8
    set 2   F0 before the last byte                 1C ... F0 1C    E0 75 ... E0 F0 75
    set 3   F0 before it, where the key breaks      1C ... F0 1C    63 (arrow: make only)

`PRINT` sends two codes one after the other, and breaks them in reverse. `PAUSE` sends its break
with its make, and nothing when it comes up.

IBM PS/2 Hardware Interface Technical Reference, Keyboards, "Scan Codes", sets 1 to 3; the three
Windows keys by Microsoft's Keyboard Scan Code Specification. Left out: the shift codes that a
keyboard wraps around its cursor keys while Num Lock or Shift is on.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

BREAK_PREFIX = 0xF0
EXTENDED_PREFIX = 0xE0
PAUSE_PREFIX = 0xE1


class Key(NamedTuple):
    """One key: `codes[s - 1]` is what it sends in set `s` when it goes down.

    `kind` holds for set 3: T repeats, B breaks, M does neither (set 3, "default key state").
    """

    name: str
    codes: tuple[bytes, bytes, bytes]
    kind: str

    def make(self, scan_set: int) -> bytes:
        """The bytes sent in `scan_set` (1-3) when the key goes down."""
        return self.codes[scan_set - 1]

    def release(self, scan_set: int) -> bytes:
        """The bytes sent in `scan_set` (1-3) when the key comes up; none for `PAUSE` in 1 and 2."""
        if scan_set < 3 and self.name.startswith("PAUSE"):
            return b""
        parts = reversed(_split(self.make(scan_set)))
        return b"".join(_break(part, scan_set) for part in parts)


def _split(code: bytes) -> list[bytes]:
    """Cut a make sequence into codes: a prefix belongs to the byte after it."""
    parts, at = [], 0
    while at < len(code):
        n = 2 if code[at] == EXTENDED_PREFIX else 1
        parts.append(code[at : at + n])
        at += n
    return parts


def _break(code: bytes, scan_set: int) -> bytes:
    if scan_set == 1:
        return code[:-1] + bytes([code[-1] | 0x80])
    return code[:-1] + bytes([BREAK_PREFIX]) + code[-1:]


_TABLE = """
#NAME          SET 1        SET 2             SET 3  KIND
ESC            01           76                08     M
F1             3b           05                07     M
F2             3c           06                0f     M
F3             3d           04                17     M
F4             3e           0c                1f     M
F5             3f           03                27     M
F6             40           0b                2f     M
F7             41           83                37     M
F8             42           0a                3f     M
F9             43           01                47     M
F10            44           09                4f     M
F11            57           78                56     M
F12            58           07                5e     M
PRINT          e02ae037     e012e07c          57     M
SCROLL_LOCK    46           7e                5f     M
PAUSE          e11d45e19dc5 e11477e1f014f077  62     M
GRAVE          29           0e                0e     T
1              02           16                16     T
2              03           1e                1e     T
3              04           26                26     T
4              05           25                25     T
5              06           2e                2e     T
6              07           36                36     T
7              08           3d                3d     T
8              09           3e                3e     T
9              0a           46                46     T
0              0b           45                45     T
MINUS          0c           4e                4e     T
EQUAL          0d           55                55     T
BACKSPACE      0e           66                66     T
TAB            0f           0d                0d     T
Q              10           15                15     T
W              11           1d                1d     T
E              12           24                24     T
R              13           2d                2d     T
T              14           2c                2c     T
Y              15           35                35     T
U              16           3c                3c     T
I              17           43                43     T
O              18           44                44     T
P              19           4d                4d     T
BRACKET_LEFT   1a           54                54     T
BRACKET_RIGHT  1b           5b                5b     T
BACKSLASH      2b           5d                5c     T
CAPS_LOCK      3a           58                14     B
A              1e           1c                1c     T
S              1f           1b                1b     T
D              20           23                23     T
F              21           2b                2b     T
G              22           34                34     T
H              23           33                33     T
J              24           3b                3b     T
K              25           42                42     T
L              26           4b                4b     T
SEMICOLON      27           4c                4c     T
APOSTROPHE     28           52                52     T
ENTER          1c           5a                5a     T
SHIFT_L        2a           12                12     B
Z              2c           1a                1a     T
X              2d           22                22     T
C              2e           21                21     T
V              2f           2a                2a     T
B              30           32                32     T
N              31           31                31     T
M              32           3a                3a     T
COMMA          33           41                41     T
DOT            34           49                49     T
SLASH          35           4a                4a     T
SHIFT_R        36           59                59     B
CTRL_L         1d           14                11     B
META_L         e05b         e01f              8b     M
ALT_L          38           11                19     B
SPACE          39           29                29     T
ALT_R          e038         e011              39     M
META_R         e05c         e027              8c     M
MENU           e05d         e02f              8d     M
CTRL_R         e01d         e014              58     M
INSERT         e052         e070              67     M
HOME           e047         e06c              6e     M
PAGE_UP        e049         e07d              6f     M
DELETE         e053         e071              64     T
END            e04f         e069              65     M
PAGE_DOWN      e051         e07a              6d     M
UP             e048         e075              63     T
LEFT           e04b         e06b              61     T
DOWN           e050         e072              60     T
RIGHT          e04d         e074              6a     T
NUM_LOCK       45           77                76     M
KP_DIVIDE      e035         e04a              77     M
KP_MULTIPLY    37           7c                7e     M
KP_SUBTRACT    4a           7b                84     M
KP_7           47           6c                6c     M
KP_8           48           75                75     M
KP_9           49           7d                7d     M
KP_ADD         4e           79                7c     T
KP_4           4b           6b                6b     M
KP_5           4c           73                73     M
KP_6           4d           74                74     M
KP_1           4f           69                69     M
KP_2           50           72                72     M
KP_3           51           7a                7a     M
KP_ENTER       e01c         e05a              79     M
KP_0           52           70                70     M
KP_DECIMAL     53           71                71     M
"""

_VARIANTS = """
#NAME          SET 1        SET 2             SET 3  KIND   sent instead while a modifier is held
PRINT+SHIFT    e037         e07c              57     M
PRINT+ALT      54           84                57     M
PAUSE+CTRL     e046e0c6     e07ee0f07e        62     M
"""


def _rows(table: str) -> dict[str, Key]:
    """Read a table above: a row is a name, three codes in hexadecimal, and a kind."""
    found = {}
    for line in table.strip().splitlines()[1:]:
        name, one, two, three, kind = line.split()
        codes = bytes.fromhex(one), bytes.fromhex(two), bytes.fromhex(three)
        found[name] = Key(name, codes, kind)
    return found


KEYS: dict[str, Key] = _rows(_TABLE)
"""The 104 keys of a US keyboard by name, in the order of its rows."""

VARIANTS: dict[str, Key] = _rows(_VARIANTS)
"""What `PRINT` and `PAUSE` send while Shift, Alt or Ctrl is held."""

_MODIFIERS = (
    ("PRINT", ("ALT_L", "ALT_R"), "PRINT+ALT"),
    ("PRINT", ("SHIFT_L", "SHIFT_R", "CTRL_L", "CTRL_R"), "PRINT+SHIFT"),
    ("PAUSE", ("CTRL_L", "CTRL_R"), "PAUSE+CTRL"),
)


def pressed(name: str, held: Container[str]) -> Key:
    """The row that key `name` sends while the keys `held` are down.

    >>> pressed("PRINT", {"ALT_L"}).make(1).hex()
    '54'
    """
    for key, modifiers, variant in _MODIFIERS:
        if name == key and any(modifier in held for modifier in modifiers):
            return VARIANTS[variant]
    return KEYS[name]
