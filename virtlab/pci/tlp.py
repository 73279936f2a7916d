"""Transaction Layer Packets: what crosses a PCI Express link, header byte for byte.

    DW 0   Fmt[31:29] Type[28:24] TC[22:20] TD[15] EP[14] Attr[13:12] Length[9:0] in dwords
    DW 1   Requester ID[31:16] Tag[15:8] Last DW BE[7:4] First DW BE[3:0]
    DW 2,3 the address; or bus, device, function and register; or what a completion answers

The idea: a `Tlp` says what a packet is, in bytes and addresses. `header` lays it out, `decode`
reads it back, and the declared fields label its picture. The rules that cut a long transfer into
packets stand below, each with its clause.

The rule that keeps it simple: a header is dwords, most significant byte first on the wire, as the
specification draws them.

Source: PCI Express 3.0, 2.2 and 2.3. Left out: prefixes, digests, atomics, ordering attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from virtlab.registers import Reg
from virtlab.wire import Bits

# -- where a function is, in 16 bits (2.2.6.2)

SOURCE_ID = Reg(
    0,
    2,
    name="Requester ID",
    fields={"FUNCTION": Bits(2, 0), "DEVICE": Bits(7, 3), "BUS": Bits(15, 8)},
    spec="PCI Express 3.0 2.2.6.2",
    doc="Bus, device and function of whoever made the request.",
)


def source_id(bus: int, device: int, number: int) -> int:
    """Bus, device and function in 16 bits."""
    return bus << 8 | device << 3 | number


def bdf_text(source: int) -> str:
    """A source id as everybody writes it.

    >>> bdf_text(0x0201)
    '02:00.1'
    """
    fields = SOURCE_ID.decode(source)
    return f"{fields['BUS']:02x}:{fields['DEVICE']:02x}.{fields['FUNCTION']}"


def parse_bdf(text: str) -> int:
    """The source id that `"02:00.1"` means. `ValueError` for any other form.

    >>> hex(parse_bdf("02:00.1"))
    '0x201'
    """
    match = re.fullmatch(r"([0-9a-f]{1,2}):([01]?[0-9a-f])\.([0-7])", text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no bus:device.function, such as 02:00.1")
    bus, device, number = (int(part, 16) for part in match.groups())
    return source_id(bus, device, number)


# -- the header

FIRST = Reg(
    0,
    4,
    name="DW 0",
    fields={
        "LENGTH": Bits(9, 0),
        "AT": Bits(11, 10),
        "ATTR": Bits(13, 12),
        "EP": Bits(14),
        "TD": Bits(15),
        "TC": Bits(22, 20),
        "TYPE": Bits(28, 24),
        "FMT": Bits(31, 29),
    },
    spec="PCI Express 3.0 2.2.1",
    doc="What kind of packet it is, and how many dwords of data it is about.",
)
REQUEST = Reg(
    4,
    4,
    name="DW 1, request",
    fields={
        "FIRST_BE": Bits(3, 0),
        "LAST_BE": Bits(7, 4),
        "TAG": Bits(15, 8),
        "REQUESTER": Bits(31, 16),
    },
    spec="PCI Express 3.0 2.2.6",
    doc="Who asks, the number of the question, and which bytes of the first and last dword count.",
)
MESSAGE = Reg(
    4,
    4,
    name="DW 1, message",
    fields={"CODE": Bits(7, 0), "TAG": Bits(15, 8), "REQUESTER": Bits(31, 16)},
    spec="PCI Express 3.0 2.2.8",
    doc="Who says it, and what.",
)
CONFIGURATION = Reg(
    8,
    4,
    name="DW 2, configuration",
    fields={"REGISTER": Bits(11, 2), "TARGET": Bits(31, 16)},
    spec="PCI Express 3.0 2.2.7",
    doc="Which register of which function.",
)
COMPLETION = Reg(
    4,
    4,
    name="DW 1, completion",
    fields={
        "BYTE_COUNT": Bits(11, 0),
        "BCM": Bits(12),
        "STATUS": Bits(15, 13),
        "COMPLETER": Bits(31, 16),
    },
    spec="PCI Express 3.0 2.2.9",
    doc="Who answers, how it went, and how many bytes are still to come, these included.",
)
ANSWERED = Reg(
    8,
    4,
    name="DW 2, completion",
    fields={"LOWER_ADDRESS": Bits(6, 0), "TAG": Bits(15, 8), "REQUESTER": Bits(31, 16)},
    spec="PCI Express 3.0 2.2.9",
    doc="Whose question it answers, and where its first byte belongs.",
)

TYPES = {
    "MRd": 0b00000,
    "MWr": 0b00000,
    "IORd": 0b00010,
    "IOWr": 0b00010,
    "CfgRd0": 0b00100,
    "CfgWr0": 0b00100,
    "CfgRd1": 0b00101,
    "CfgWr1": 0b00101,
    "Msg": 0b10100,
    "MsgD": 0b10100,
    "Cpl": 0b01010,
    "CplD": 0b01010,
}
"""The Type field of each kind (table 2-3). Messages here are the local ones, as INTx is."""

WITH_DATA = ("MWr", "IOWr", "CfgWr0", "CfgWr1", "MsgD", "CplD")
"""Kinds that carry data. `FOUR_DWORDS` and `HAS_DATA` are the two bits of Fmt that matter."""

FOUR_DWORDS, HAS_DATA = 0b001, 0b010

POSTED = ("MWr", "Msg", "MsgD")
"""Requests that nobody answers (2.1.1)."""

ASSERT_INTA, DEASSERT_INTA = 0x20, 0x24
"""Message codes; INTB to INTD follow each (table 2-16)."""

STATUS = {0: "successful", 1: "unsupported request", 2: "configuration retry", 4: "completer abort"}

MAX_LENGTH = 4096
"""Bytes that one packet may be about: 1024 dwords (2.2.2)."""


class Tlp(NamedTuple):
    """A packet. `address` and `length` are in bytes.

    A request has `requester` and `tag`. A configuration request has its target in `completer`, and
    the register in `address`. A completion has `completer`, `status`, and in `byte_count` what is
    still to come; its `address` is the Lower Address. A message has a `code`.
    """

    kind: str
    requester: int = 0
    tag: int = 0
    address: int = 0
    length: int = 0
    completer: int = 0
    status: int = 0
    code: int = 0
    byte_count: int = 0
    data: bytes = b""

    @property
    def completion(self) -> bool:
        """Whether it answers a request."""
        return self.kind in ("Cpl", "CplD")

    @property
    def posted(self) -> bool:
        """Whether it is a request that nobody answers."""
        return self.kind in POSTED

    @property
    def non_posted(self) -> bool:
        """Whether it is a request that must be answered."""
        return not (self.posted or self.completion)

    @property
    def wide(self) -> bool:
        """Whether the header has four dwords: messages, and memory at 4 GiB and above (2.2.4.1)."""
        return self.kind.startswith("Msg") or (
            self.kind in ("MRd", "MWr") and self.address >> 32 > 0
        )

    @property
    def dwords(self) -> int:
        """How many dwords the bytes lie in: what the Length field says."""
        if self.kind in ("Cpl", "Msg"):
            return 0
        return (self.address % 4 + max(self.length, 1) + 3) // 4

    @property
    def byte_enables(self) -> tuple[int, int]:
        """First and Last DW Byte Enables: a bit for each byte that counts (2.2.5)."""
        start = self.address % 4
        end = (start + self.length - 1) % 4 + 1
        if self.length == 0:
            return 0, 0
        if self.dwords == 1:
            return (1 << end) - (1 << start), 0
        return 0b1111 & -(1 << start), (1 << end) - 1

    # -- the bytes

    def header(self) -> bytes:
        """The header, 12 or 16 bytes, as they are sent."""
        return b"".join(word.to_bytes(4, "big") for _, word in self.words())

    def words(self) -> list[tuple[Reg | None, int]]:
        """The header's dwords, each with its declaration; an address has none."""
        fields = FIRST.fields
        fmt = FOUR_DWORDS * self.wide | HAS_DATA * (self.kind in WITH_DATA)
        first = fields["TYPE"].put(fields["FMT"].put(0, fmt), TYPES[self.kind])
        first = fields["LENGTH"].put(first, self.dwords % 1024)
        return [(FIRST, first), *self._rest()]

    def _rest(self) -> list[tuple[Reg | None, int]]:
        if self.completion:
            count = (self.byte_count or self.length) % MAX_LENGTH
            left = self.completer << 16 | self.status << 13 | count
            right = self.requester << 16 | self.tag << 8 | self.address & 0x7F
            return [(COMPLETION, left), (ANSWERED, right)]
        asked = self.requester << 16 | self.tag << 8
        if self.kind.startswith("Msg"):
            return [(MESSAGE, asked | self.code), (None, 0), (None, 0)]
        first, last = self.byte_enables
        asked |= last << 4 | first
        if self.kind.startswith("Cfg"):
            return [
                (REQUEST, asked),
                (CONFIGURATION, self.completer << 16 | self.address & 0xFFC),
            ]
        low = (None, self.address & 0xFFFF_FFFC)
        return [(REQUEST, asked), *([(None, self.address >> 32)] if self.wide else []), low]

    @classmethod
    def decode(cls, header: bytes) -> Tlp:
        """The packet whose header this is. `ValueError` where it is none that is known here."""
        if len(header) not in (12, 16):
            raise ValueError(f"a header has 12 or 16 bytes, not {len(header)}")
        words = [int.from_bytes(header[at : at + 4], "big") for at in range(0, len(header), 4)]
        first = FIRST.decode(words[0])
        if first["FMT"] > FOUR_DWORDS | HAS_DATA:
            raise ValueError(f"Fmt {first['FMT']:03b} is a prefix, not a header (table 2-2)")
        kind = _kind(first["TYPE"], bool(first["FMT"] & HAS_DATA), bool(first["FMT"] & FOUR_DWORDS))
        if len(words) != (4 if first["FMT"] & FOUR_DWORDS else 3):
            raise ValueError(f"Fmt {first['FMT']:03b} does not fit a header of {len(header)} bytes")
        if kind in ("Cpl", "CplD"):
            return cls._completion(kind, words, first["LENGTH"] or 1024)
        asked = MESSAGE.decode(words[1])
        tlp = cls(kind, requester=asked["REQUESTER"], tag=asked["TAG"])
        if kind.startswith("Msg"):
            length = 4 * (first["LENGTH"] or 1024) if kind == "MsgD" else 0
            return tlp._replace(code=asked["CODE"], length=length)
        start, length = _bytes(REQUEST.decode(words[1]), first["LENGTH"] or 1024)
        if kind.startswith("Cfg"):
            register = words[2] & 0xFFC
            return tlp._replace(address=register + start, length=length, completer=words[2] >> 16)
        address = words[-1] & 0xFFFF_FFFC | (words[2] << 32 if len(words) == 4 else 0)
        return tlp._replace(address=address + start, length=length)

    @classmethod
    def _completion(cls, kind: str, words: list[int], dwords: int) -> Tlp:
        left, right = COMPLETION.decode(words[1]), ANSWERED.decode(words[2])
        count = left["BYTE_COUNT"] or (MAX_LENGTH if kind == "CplD" else 0)
        lower = right["LOWER_ADDRESS"]
        return cls(
            kind,
            requester=right["REQUESTER"],
            tag=right["TAG"],
            address=lower,
            length=min(4 * dwords - lower % 4, count) if kind == "CplD" else 0,
            completer=left["COMPLETER"],
            status=left["STATUS"],
            byte_count=count,
        )

    # -- for people

    def fields(self) -> list[tuple[str, Bits, int, str]]:
        """Every field of the header: which dword it is in, its bits, its value, what it means."""
        found = []
        for index, (reg, word) in enumerate(self.words()):
            if reg is None:
                found.append((f"DW {index} address", Bits(31, 0), word, "the address"))
                continue
            for name, bits in sorted(reg.fields.items(), key=lambda item: -item[1].hi):
                found.append((f"DW {index} {name}", bits, bits.get(word), reg.doc))
        return found

    def __str__(self) -> str:
        if self.completion:
            words = f"{self.kind} for {bdf_text(self.requester)} tag {self.tag}"
            if self.status:
                return f"{words}, {STATUS.get(self.status, 'reserved status')}"
            return f"{words}, {_many(self.length)}" if self.kind == "CplD" else f"{words}, done"
        if self.kind.startswith("Msg"):
            return f"{self.kind} from {bdf_text(self.requester)}, {message_name(self.code)}, posted"
        if self.kind.startswith("Cfg"):
            words = f"{self.kind} {bdf_text(self.completer)} register {self.address:#x}"
            return f"{words}, {_many(self.length)}, non-posted"
        width = ("64" if self.wide else "32") if self.kind.startswith("M") else ""
        posted = "posted" if self.posted else "non-posted"
        place = f"{bdf_text(self.requester)} -> {self.address:#x}"
        return f"{self.kind}{width} {place}, {_many(self.length)}, {posted}"


def _many(count: int) -> str:
    return f"{count} byte{'s' * (count != 1)}"


def _kind(type_: int, data: bool, wide: bool) -> str:
    for kind, number in TYPES.items():
        if number == type_ and (kind in WITH_DATA) == data:
            either, four = kind in ("MRd", "MWr"), kind in ("Msg", "MsgD")
            if either or wide == four:
                return kind
    raise ValueError(f"type {type_:05b} {'with' if data else 'without'} data is not known here")


def _bytes(request: dict[str, int], dwords: int) -> tuple[int, int]:
    """Where in the first dword the bytes begin, and how many there are."""
    first, last = request["FIRST_BE"], request["LAST_BE"]
    if not first:
        return 0, 0
    start = (first & -first).bit_length() - 1
    if dwords == 1:
        return start, first.bit_length() - start
    return start, 4 * (dwords - 1) - start + last.bit_length()


def message_name(code: int) -> str:
    """The words for an INTx message.

    >>> message_name(0x21)
    'Assert_INTB'
    """
    for base, verb in ((ASSERT_INTA, "Assert"), (DEASSERT_INTA, "Deassert")):
        if base <= code < base + 4:
            return f"{verb}_INT{'ABCD'[code - base]}"
    return f"message {code:#04x}"


# -- cutting a transfer into packets


def split_writes(address: int, length: int, max_payload: int) -> Iterator[tuple[int, int]]:
    """`(address, bytes)` of each write: at most Max_Payload_Size, none across 4 KiB (2.2.7).

    >>> list(split_writes(0xFC0, 256, 128))
    [(4032, 64), (4096, 128), (4224, 64)]
    """
    end = address + length
    while address < end:
        room = min(max_payload, MAX_LENGTH - address % MAX_LENGTH)
        n = min(room, end - address)
        yield address, n
        address += n


def split_reads(address: int, length: int, max_read_request: int) -> Iterator[tuple[int, int]]:
    """The same for read requests: at most Max_Read_Request_Size, none across 4 KiB (2.2.7)."""
    return split_writes(address, length, max_read_request)


def completions(
    address: int, length: int, max_payload: int, rcb: int = 64
) -> Iterator[tuple[int, int, int]]:
    """`(address, bytes, byte count)` of the completions of one read request.

    Each but the last ends at a multiple of the Read Completion Boundary (2.3.1.1). The byte count
    is what is left of the request, this completion included.
    """
    end = address + length
    while address < end:
        stop = (address + max_payload) // rcb * rcb
        n = min(max(stop, address + 1), end) - address
        yield address, n, end - address
        address += n
