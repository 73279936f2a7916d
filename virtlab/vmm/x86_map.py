"""A small part of the x86 opcode map, as Intel prints it.

The idea: x86 is a table. The first byte of an instruction picks a row; the row says what its
operands are and where their bytes stand. Everything else only reads the table.

The rule that keeps it simple: a row has one width. It works on bytes, or on doublewords, which
the prefix 66 turns into words.

Source: Intel SDM volume 2, appendix A.2 (the letters for operands, tables A-2, A-3 and A-6). Only
32-bit protected mode. Left out: segment registers, most two-byte opcodes, all floating point.
"""

from __future__ import annotations

# The letters of A.2.1: E a register or memory by ModR/M, G the register in ModR/M, I an immediate,
# J a jump, A a far one with its segment, M memory only, O an offset with no ModR/M, X memory at
# ESI, Y memory at EDI; b a byte, v a word or doubleword, z a doubleword here. Ours: Z the register
# in the opcode (`40+` is eight rows), sIb a byte that is sign-extended, port an Ib that numbers a
# port, * the letter of the width. 0fxx is an opcode of two bytes.
# What moves words and doublewords is on the right; nearly always bit 0 of the opcode says so.
MAP = """
                                 |  40+   inc Zv
                                 |  48+   dec Zv
                                 |  50+   push Zv
                                 |  58+   pop Zv
    6c    ins* Yb, DX            |  6d    ins* Yv, DX
    6e    outs* DX, Xb           |  6f    outs* DX, Xv
    72    jb Jb                  |
    73    jae Jb                 |
    74    je Jb                  |
    75    jne Jb                 |
    84    test Eb, Gb            |  85    test Ev, Gv
    88    mov Eb, Gb             |  89    mov Ev, Gv
    8a    mov Gb, Eb             |  8b    mov Gv, Ev
    90    nop                    |
    a0    mov AL, Ob             |  a1    mov eAX, Ov
    a2    mov Ob, AL             |  a3    mov Ov, eAX
    a4    movs* Yb, Xb           |  a5    movs* Yv, Xv
    a8    test AL, Ib            |  a9    test eAX, Iv
    aa    stos* Yb, AL           |  ab    stos* Yv, eAX
    ac    lods* AL, Xb           |  ad    lods* eAX, Xv
    b0+   mov Zb, Ib             |  b8+   mov Zv, Iv
    c3    ret                    |
    c6/0  mov Eb, Ib             |  c7/0  mov Ev, Iv
    cf    iretd                  |
    e2    loop Jb                |
    e4    in AL, port            |  e5    in eAX, port
    e6    out port, AL           |  e7    out port, eAX
    e8    call Jz                |
    ea    ljmp Ap                |
    eb    jmp Jb                 |
    ec    in AL, DX              |  ed    in eAX, DX
    ee    out DX, AL             |  ef    out DX, eAX
    f4    hlt                    |
    f6/0  test Eb, Ib            |  f7/0  test Ev, Iv
    fa    cli                    |
    fb    sti                    |
    fe/0  inc Eb                 |  ff/0  inc Ev
    fe/1  dec Eb                 |  ff/1  dec Ev
    0f01/2 lgdt M                |
    0f01/3 lidt M                |
    0f0b  ud2                    |
"""

# Arithmetic fills the map by rule: the operation is bits 5:3, the operands bits 2:0 (table A-2).
# Group 1 has the operation in ModR/M instead (table A-6).
ARITHMETIC = {0: "add", 1: "or", 4: "and", 5: "sub", 6: "xor", 7: "cmp"}
FORMS = ("Eb, Gb", "Ev, Gv", "Gb, Eb", "Gv, Ev", "AL, Ib", "eAX, Iv")
GROUP_1 = {0x80: "Eb, Ib", 0x81: "Ev, Iv", 0x83: "Ev, sIb"}

REGISTERS = {
    1: ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"),
    2: ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di"),
    4: ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"),
}
"""Register names by size in bytes, in the order of their numbers (table 2-2)."""
EAX, ECX, EDX, ESP, ESI, EDI = 0, 1, 2, 4, 6, 7
OPERAND_SIZE, REP, TWO_BYTES = 0x66, 0xF3, 0x0F


def _rows() -> dict[tuple[int, int], str]:
    """The map as `(opcode, digit) -> row`; the digit is -1 where ModR/M does not choose."""
    rows = {
        (8 * n + i, -1): f"{name} {form}"
        for n, name in ARITHMETIC.items()
        for i, form in enumerate(FORMS)
    }
    rows |= {(op, n): f"{ARITHMETIC[n]} {form}" for op, form in GROUP_1.items() for n in ARITHMETIC}
    for cell in MAP.replace("\n", "|").split("|"):
        opcode, _, row = cell.strip().partition(" ")
        if row:
            number, _, digit = opcode.rstrip("+").partition("/")
            first, count = int(number, 16), 8 if "+" in opcode else 1
            rows |= {(first + i, int(digit or -1)): row.strip() for i in range(count)}
    return rows


ROWS = _rows()
"""Every row: `(opcode, ModR/M digit or -1)` and its text, such as `"or Eb, Ib"`."""
