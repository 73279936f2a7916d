"""Two small guests that read a sector of the disk: word by word, and by DMA.

The idea: the command to the drive is the same. The first guest moves 256 words itself. The second
writes where they go, into a table in RAM, and sleeps until the drive has moved them.

The rule that keeps it simple: nobody has set up the PCI function of the IDE controller, so the
second guest gives it its ports by itself.

Sources: ATA/ATAPI-6 (T13 1410D), PIO data-in and DMA protocols; Programming Interface for Bus
Master IDE Controller 1.0, 2 and 3.
"""

from __future__ import annotations

from virtlab.guest.programs import STRING
from virtlab.guest.small.guest import SmallGuest
from virtlab.guest.small.pieces import (
    END_INTERRUPT,
    ENTER_SEGMENTS,
    PUT_CHAR,
    PUT_STRING,
    SET_GATE,
    SET_INTERRUPTS,
    WAIT_DISK,
)

REGIONS, SECTOR_BUFFER = 0x5000, 0x6000
"""Where the region table and the sector stand in RAM."""

ATA_PIO = SmallGuest(
    "ata_pio",
    "a sector of the disk by programmed I/O, and print what it says",
    """
    ba f6 03 00 00        | mov edx, 0x3f6                   | DEVICE CONTROL
    b0 02                 | mov al, 2                        | nIEN: no interrupt
    ee                    | out dx, al                       |
    e8 d3 08 00 00        | call 0x18e0                      | wait until the disk is not busy
    ba f2 01 00 00        | mov edx, 0x1f2                   | SECTOR COUNT
    b0 01                 | mov al, 1                        | one sector
    ee                    | out dx, al                       |
    42                    | inc edx                          | LBA LOW
    ee                    | out dx, al                       | sector 1
    42                    | inc edx                          | LBA MID
    b0 00                 | mov al, 0                        |
    ee                    | out dx, al                       |
    42                    | inc edx                          | LBA HIGH
    ee                    | out dx, al                       |
    42                    | inc edx                          | DEVICE
    b0 e0                 | mov al, 0xe0                     | LBA, drive 0
    ee                    | out dx, al                       |
    42                    | inc edx                          | COMMAND
    b0 20                 | mov al, 0x20                     | READ SECTORS
    ee                    | out dx, al                       |
    e8 b6 08 00 00        | call 0x18e0                      | wait until the disk has them
    bf 00 60 00 00        | mov edi, 0x6000                  | to RAM
    b9 00 01 00 00        | mov ecx, 0x100                   | 256 words
    ba f0 01 00 00        | mov edx, 0x1f0                   | from DATA
    66 f3 6d              | rep insw word ptr es:[edi], dx   | all by one instruction
    c6 05 11 60 00 00 00  | mov byte ptr [0x6011], 0         | its first 17 characters
    be 00 20 00 00        | mov esi, 0x2000                  | a title
    e8 f3 07 00 00        | call 0x1840                      | print it
    be 00 60 00 00        | mov esi, 0x6000                  | and what was on the disk
    e8 e9 07 00 00        | call 0x1840                      | print it
    fa                    | cli                              |
    f4                    | hlt                              | the end
    """,
    (PUT_CHAR, PUT_STRING, WAIT_DISK),
    ((STRING, b"disk: \0"),),
    ("string_out",),
    prints="disk: This is sector 1.",
)

ATA_DMA = SmallGuest(
    "ata_dma",
    "a sector of the disk by DMA, asleep until the interrupt",
    """
    e8 fb 07 00 00        | call 0x1800                      | enter the segments
    e8 76 08 00 00        | call 0x1880                      | the interrupt controllers, the gates
    bf 70 41 00 00        | mov edi, 0x4170                  | the gate of vector 0x2e
    b8 a9 10 00 00        | mov eax, 0x10a9                  | its handler
    e8 47 08 00 00        | call 0x1860                      | set it
    b0 fb                 | mov al, 0xfb                     | IRQ 2, the slave, may come
    e6 21                 | out 0x21, al                     |
    b0 bf                 | mov al, 0xbf                     | and IRQ 14, the first channel
    e6 a1                 | out 0xa1, al                     |
    bb 20 f9 00 80        | mov ebx, 0x8000f920              | 00:1f.1, the IDE controller: BAR 4
    b9 00 c0 00 00        | mov ecx, 0xc000                  | its bus master's ports
    e8 68 00 00 00        | call 0x1098                      |
    bb 04 f9 00 80        | mov ebx, 0x8000f904              | its command register
    b9 05 00 00 00        | mov ecx, 5                       | answer at ports; master the bus
    e8 59 00 00 00        | call 0x1098                      |
    ba 04 c0 00 00        | mov edx, 0xc004                  | the address of the region table
    b8 00 50 00 00        | mov eax, 0x5000                  | one region, 512 bytes at 0x6000
    ef                    | out dx, eax                      |
    ba 00 c0 00 00        | mov edx, 0xc000                  | the bus master's command
    b0 08                 | mov al, 8                        | towards memory
    ee                    | out dx, al                       |
    e8 89 08 00 00        | call 0x18e0                      | wait until the disk is not busy
    ba f2 01 00 00        | mov edx, 0x1f2                   | SECTOR COUNT
    b0 01                 | mov al, 1                        | one sector
    ee                    | out dx, al                       |
    42                    | inc edx                          | LBA LOW
    b0 02                 | mov al, 2                        | sector 2
    ee                    | out dx, al                       |
    42                    | inc edx                          | LBA MID
    b0 00                 | mov al, 0                        |
    ee                    | out dx, al                       |
    42                    | inc edx                          | LBA HIGH
    ee                    | out dx, al                       |
    42                    | inc edx                          | DEVICE
    b0 e0                 | mov al, 0xe0                     | LBA, drive 0
    ee                    | out dx, al                       |
    42                    | inc edx                          | COMMAND
    b0 c8                 | mov al, 0xc8                     | READ DMA
    ee                    | out dx, al                       |
    ba 00 c0 00 00        | mov edx, 0xc000                  | the bus master's command
    b0 09                 | mov al, 9                        | go
    ee                    | out dx, al                       |
    fb                    | sti                              | again: let the interrupt come
    f4                    | hlt                              | the processor is free until then
    fa                    | cli                              |
    f6 05 00 30 00 00 04  | test byte ptr [0x3000], 4        | was it the bus master's?
    74 f4                 | je 0x1079                        | not yet
    c6 05 11 60 00 00 00  | mov byte ptr [0x6011], 0         | the sector's first 17 characters
    be 00 60 00 00        | mov esi, 0x6000                  |
    e8 aa 07 00 00        | call 0x1840                      | print them
    fa                    | cli                              |
    f4                    | hlt                              | the end
    89 d8                 | mov eax, ebx                     | write: ECX to the configuration
    ba f8 0c 00 00        | mov edx, 0xcf8                   | register that EBX names
    ef                    | out dx, eax                      |
    89 c8                 | mov eax, ecx                     |
    ba fc 0c 00 00        | mov edx, 0xcfc                   |
    ef                    | out dx, eax                      |
    c3                    | ret                              |
    50                    | push eax                         | handler:
    52                    | push edx                         |
    ba f7 01 00 00        | mov edx, 0x1f7                   | reading STATUS takes it back
    ec                    | in al, dx                        |
    ba 02 c0 00 00        | mov edx, 0xc002                  | the bus master's status
    ec                    | in al, dx                        |
    a2 00 30 00 00        | mov byte ptr [0x3000], al        | keep it
    ee                    | out dx, al                       | bit 2 is cleared by writing 1
    ba 00 c0 00 00        | mov edx, 0xc000                  | the bus master's command
    b0 00                 | mov al, 0                        | stop
    ee                    | out dx, al                       |
    e8 f6 07 00 00        | call 0x18c0                      | end of interrupt
    5a                    | pop edx                          |
    58                    | pop eax                          |
    cf                    | iretd                            | back behind the hlt
    """,
    (
        ENTER_SEGMENTS,
        PUT_CHAR,
        PUT_STRING,
        SET_GATE,
        SET_INTERRUPTS,
        END_INTERRUPT,
        WAIT_DISK,
    ),
    ((REGIONS, SECTOR_BUFFER.to_bytes(4, "little") + bytes.fromhex("00020080")),),
    ("interrupt", "ata_pio", "pci_scan"),
    prints="This is sector 2.",
)
