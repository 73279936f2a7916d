"""Problems about interrupt remapping: which interrupt a message becomes.

    address, data --> handle (+ subhandle) --> IRTE --> vector and processor, or a fault reason

The judge is `InterruptRemapper.decide`, on a table in memory. Left out: posted entries (`posted`),
x2APIC ids, and FPD.
"""

from __future__ import annotations

from virtlab.course.practice.board import Board, hex_of
from virtlab.course.practice.vtd import BASE, show_reasons
from virtlab.interrupts import Msi
from virtlab.iommu.interrupt_remapping import InterruptRemapper
from virtlab.iommu.layouts import IRTE, REQUEST_ADDRESS
from virtlab.iommu.reasons import Reason
from virtlab.memory import PAGE, GuestMemory
from virtlab.pci.tlp import bdf_text


def irq_remap(board: Board) -> None:
    """Which vector a message becomes, and for which processor; or by which reason it is refused."""
    random = board.random
    memory = GuestMemory([(BASE, 4 * PAGE)])
    unit = InterruptRemapper(memory)
    unit.enabled, unit.table, unit.entries = True, BASE, 64
    source = random.randrange(0x100, 0x2000)
    handle = random.randrange(4, 40)
    sub = random.randrange(1, 8) if board.level > 1 and random.randrange(3) else 0
    rows = _irtes(board, memory, handle, sub, source)
    address = REQUEST_ADDRESS.pack(FEE=0xFEE, HANDLE=handle, FORMAT=1, SHV=int(sub > 0))
    data = sub if sub else random.randrange(1, 6)
    if board.level == 3 and random.randrange(6) == 0:
        address = REQUEST_ADDRESS.FORMAT.put(address, 0)
    board.say(
        "Interrupts are remapped; the table has 64 entries of 16 bytes, and what is not listed is "
        "zero. Address: FORMAT is bit 4, "
        "SHV bit 3, the handle bits 19:5 (and 2). Compatibility format is blocked. An entry: P is "
        "bit 0, DLM bits 7:5 (3 is reserved), V bits 23:16, DST bits 47:40, SID bits 79:64, SVT "
        "bits 83:82 (1: all of SID is compared)."
    )
    board.table("Interrupt-remapping table", ("entry", "bits 127:64", "bits 63:0"), rows)
    if board.level == 3:
        show_reasons(board, range(0x20, 0x27))
    board.data |= {"address": address, "data": data, "source": source}
    board.data |= {"table": [[int(row[0]), row[1], row[2]] for row in rows]}
    board.words = {"fault"}
    board.ask(
        f"The device {bdf_text(source)} writes {hex_of(data)} to {hex_of(address)}. "
        "Which vector arrives at which processor?",
        "the vector and the APIC id, or “fault” and its reason, as “0x31 2” or “fault 0x22”",
    )
    _irq_steps(board, unit, address, data, source)


def _irtes(
    board: Board, memory: GuestMemory, handle: int, sub: int, source: int
) -> list[tuple[str, str, str]]:
    """Entries around the one that is meant; at level 3 most have something wrong."""
    rows = []
    vectors = board.random.sample(range(0x30, 0xF0), 64)
    wrong = board.random.randrange(5) if board.level == 3 else 4
    for index in sorted(
        {handle, handle + sub, handle + 1, handle + sub + 1, handle - 1, 2 * handle}
    ):
        present, owner, mode = 1, source, 0
        if index == handle + sub:
            present, owner = int(wrong != 0), source ^ 8 if wrong == 1 else source
            mode = 3 if wrong == 2 else 0
        entry = IRTE.pack(
            P=present,
            V=vectors[index % 64],
            DST=(index * 3 % 7 + 1) << 8,
            SID=owner,
            SVT=1,
            DLM=mode,
        )
        if index < 64 or index == handle + sub:
            memory.store(BASE + 16 * index, 16, entry)
            rows.append((str(index), hex_of(entry >> 64, 16), hex_of(entry & (1 << 64) - 1, 16)))
    return rows


def _irq_steps(board: Board, unit: InterruptRemapper, address: int, data: int, source: int) -> None:
    fields = REQUEST_ADDRESS.decode(address)

    def go(to: int, value: int, who: int) -> str:
        found = unit.decide(who, Msi(to, value))
        if found.reason is not None or found.entry is None:
            return f"fault {hex_of(found.reason or 0)}"
        return f"{hex_of(IRTE.V.get(found.entry), 2)} {IRTE.DST.get(found.entry) >> 8}"

    outcome = unit.decide(source, Msi(address, data))
    end = go(address, data, source)
    board.step("format", f"Bit 4 of {hex_of(address)}: 1 is remappable.", str(fields["FORMAT"]))
    if fields["FORMAT"]:
        index = outcome.interrupt_index or 0
        work = f"Handle: bits 19:5 = {fields['HANDLE']}."
        work += f" SHV is set, so add the data, {data}." if fields["SHV"] else " SHV is clear."
        board.step("index", work, str(index))
        if fields["SHV"]:
            why = "SHV is set: add the subhandle, which is the data."
            board.slip("index", go(address & ~8, data, source), why)
        else:
            why = "SHV is clear: the data is ignored."
            board.slip("index", go(address | 8, data, source), why)
        shift = REQUEST_ADDRESS.HANDLE.put(address, fields["HANDLE"] * 2 & 0x7FFF)
        board.slip("index", go(shift, data, source), "the handle begins at bit 5, not at bit 4.")
    if outcome.entry is not None:
        seen = f"P={IRTE.P.get(outcome.entry)}, SID {bdf_text(IRTE.SID.get(outcome.entry))}"
        seen += f", DLM={IRTE.DLM.get(outcome.entry)}; the message is from {bdf_text(source)}."
        board.step("entry", seen, hex_of(outcome.entry))
        made = f"{hex_of(IRTE.V.get(outcome.entry), 2)} {IRTE.DST.get(outcome.entry) >> 8}"
        board.slip("entry", made, "look at P, at the delivery mode and at SID before the vector.")
        whole = (IRTE.V.get(outcome.entry), IRTE.DST.get(outcome.entry))
        board.slip("end", whole, "an xAPIC id is bits 47:40 of the entry: shift by 40, not by 32.")
    meaning = outcome.reason.meaning if outcome.reason else "The entry is good: take V and DST."
    board.step("end", meaning[0].upper() + meaning[1:].rstrip(".") + ".", end)
    place = "entry" if outcome.entry is not None else "format"
    for reason in Reason:
        if reason >= 0x20:
            why = "this is not the first check that fails; go through them in order."
            board.slip(place, f"fault {hex_of(reason)}", why)
    board.answer(end)
