# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S03"]
# # What changes when a device is memory?
#
# After this lesson you can
#
# - **find** a device in a PC's memory map, and say what each address gives;
# - **compare** the same task through ports and through memory, instruction by instruction;
# - **avoid** the two traps of wide registers: the torn read and the access over an edge.
#
# *40 minutes. Builds on lesson 01. Topic S03: memory-mapped I/O. It stands for the lecture's slide "Memory-mapped I/O".*

# %% [markdown]
# ## The picture
#
# One row of addresses. RAM, ROM and devices live in it side by side. Each of them watches the address bus, and answers its own addresses.

# %%
from virtlab import machine, show
from virtlab.devices import hpet
from virtlab.guest import programs
from virtlab.guest.uart import UartDriver

board = machine.lesson_pc()
show.address_map(board.memory)

# %% [markdown]
# ## Round 1. A store is the output
#
# From address 0xB8000 on there is the text screen. Each of its cells is two bytes: a character, and its colours. **Claim: to print, you store. There is no command.**

# %% jupyter={"source_hidden": true}
show.Predict(
    "We store the four bytes 48 1f 69 1f at 0xB8000. How many characters appear?",
    answer=2,
    why="Two bytes a cell: 0x48 is H, 0x69 is i, and 0x1f is white on blue.",
)

# %%
board.cpu.store(0xB8000, 0x1F69_1F48, size=4)
show.text_screen(board.screen.cells, rows=4)

# %%
assert board.screen.text() == "Hi"

# %% [markdown]
# And what you stored, you can load. The screen *is* memory, so anything that moves memory draws. This copies a line of the screen to the next one, with no knowledge of screens at all.

# %%
line = board.cpu.read(0xB8000, 160)
board.cpu.write(0xB8000 + 160, line)
board.screen.rows()[:2]

# %%
assert board.screen.rows()[0] == board.screen.rows()[1] == "Hi"

# %% [markdown]
# ## Round 2. The same chip, twice
#
# The board has a second UART. It is the same chip as the first, and it stands in memory at 0xFE034000, a register every four bytes, as in many Intel chip sets. **Claim: the driver does not change, only how it reaches a register.**

# %%
through_memory = UartDriver.in_memory(board.cpu, machine.UART2, machine.UART2_SHIFT)
with board.trace.recording() as events:
    through_memory.put(ord("M"))

show.trace_table(events, registers=machine.MEMORY_REGISTERS)

# %%
assert board.terminal2.text == "M"

# %% [markdown]
# The number of *accesses* is the same: ask once, write once. So what do we gain?
#
# ## Round 3. Count the instructions
#
# We gain instructions. `IN` and `OUT` can only move data to and from the register AL, AX or EAX. But memory can be an operand of nearly every x86 instruction. **Claim: the same task takes fewer instructions through memory.** Here is real machine code for one task: set one bit of the UART's register MCR, and keep the others.

# %%
show.listing(programs.SET_BIT_BY_PORTS)

# %%
show.listing(programs.SET_BIT_BY_MEMORY)

# %% jupyter={"source_hidden": true}
show.Predict(
    "Through memory it is one instruction. How many accesses does that one make to the device?",
    answer=2,
    why="To change one bit it must read the register and write it back: a load, then a store.",
)

# %%
from virtlab.hosts.tiny_x86 import TinyX86

def executed(program):
    fresh = machine.lesson_pc()
    program.load(fresh.cpu)
    return TinyX86(fresh.cpu).run(program.code)

by_ports, by_memory = executed(programs.SET_BIT_BY_PORTS), executed(programs.SET_BIT_BY_MEMORY)
print(by_ports, by_memory, sep="\n")

# %%
assert (by_ports.instructions, by_memory.instructions) == (4, 1)
assert by_memory.devices["load"] == by_memory.devices["store"] == 1

# %% [markdown]
# Other tasks show the same. Each number below is what a processor *executed*: `TinyX86` runs the machine code and counts. An instruction that repeats itself, such as `rep movsd`, counts once.

# %%
rows = tuple((ports.task, str(executed(ports).instructions), str(executed(memory).instructions))
             for ports, memory in programs.PAIRS)
show.Table("Instructions executed for the same task", ("task", "ports", "memory"), rows)

# %%
assert all(int(ports) > int(memory) for _, ports, memory in rows[:-1])
assert rows[-1][1:] == ("4", "4")          # rep insb: one instruction can do it through a port, too

# %% [markdown]
# The last two rows copy 512 bytes from a device. With a loop around `IN` it takes over a thousand instructions. `rep insb` makes it one instruction, but still 512 accesses of one byte each; `rep movsd` makes 128 of four.
#
# %% [markdown]
# ## Round 4. What lives where
#
# **Claim: devices eat physical addresses.** RAM cannot stand where a device stands. On this board the screen and the ROM make a hole between 640 KiB and 1 MiB: the famous hole of the first PC. A second hole lies below 4 GiB.

# %%
kinds = {"RAM": 0, "ROM": 0, "devices": 0}
for mapping in board.memory.mappings:
    kind = {"ram": "RAM", "rom": "ROM"}.get(mapping.name, "devices")
    kinds[kind] += mapping.length

kinds

# %% [markdown]
# The devices' share is two windows that the board keeps for PCI cards: nearly a gibibyte below 4 GiB, and 32 GiB far above. RAM may not be there, whether a card stands in the window or not. The other devices take few bytes, and they too decide where RAM may go.
#
# And each device must decode the *whole* address, or it would answer where it should not. Compare with [lesson 01](01_port_io.ipynb): 13 bits for eight ports.

# %%
show.decode_picture(show.Range("UART, 8 ports", 0x3F8, 8, 16),
                    show.Range("UART in memory", machine.UART2, 32, 52),
                    show.Range("text screen", 0xB8000, 0x8000, 52),
                    title="What each must compare")

# %% [markdown]
# ## Round 5. Eight bytes at once
#
# Ports stop at four bytes. A load can have eight. The HPET, the PC's event timer, has a 64-bit counter at 0xFED000F0, and you can read it in one load, or in two halves. **Claim: two halves can be from two different times.**

# %%
show.registers_picture(hpet.Hpet.registers, board.hpet.peek(), "The HPET's general registers, eight bytes each")

# %%
COUNTER = machine.HPET + hpet.Hpet.MAIN_CNT.offset
board.cpu.store(machine.HPET + hpet.Hpet.GEN_CONF.offset, 0)      # stop it, to set it
board.cpu.store(COUNTER, 0xFFFF_FFFE, size=8)
board.cpu.store(machine.HPET + hpet.Hpet.GEN_CONF.offset, 1)      # and let it run

# %% jupyter={"source_hidden": true}
show.Predict(
    "The counter stands at 0x00000000_fffffffe and runs. We load the high half, 50 ns pass, we load the low half. Do we get a time that was true?",
    answer="no, about 4.3 billion ticks too small",
    options=["yes", "no, about 4.3 billion ticks too small", "no, about 4.3 billion ticks too large"],
    why="The high half was read as 0. Then the low half overflowed to a small number, and the carry is not in our high half.",
)

# %%
high = board.cpu.load(COUNTER + 4, 4)
board.clock.advance(50)
low = board.cpu.load(COUNTER, 4)
torn = high << 32 | low
whole = board.cpu.load(COUNTER, 8)
hex(torn), hex(whole)

# %%
assert torn < 0xFFFF_FFFE < whole

# %% [markdown]
# One load of eight bytes cannot be torn. A 32-bit processor has to read high, low, high again, and start over if the high half changed.
#
# ## Play
#
# Probe any address of the board, in either space, with any size. The picture shows who answers. It starts with a load over the end of RAM. Make it fit. Then look for the ROM, and for the edge of the UART.

# %%
probed = machine.lesson_pc()
show.AddressProbe(probed.memory, probed.ports, start=(0x9FFFE, 4))

# %% [markdown]
# ## Break it
#
# Four accesses that go wrong in four ways: a store to ROM, a load over the end of RAM, a load where nobody is, and a load that is not aligned.

# %%
with board.trace.recording() as events:
    board.cpu.store(0xF0000, 0x21212121)
    rom = board.cpu.load(0xF0000)
    over_the_edge = board.cpu.load(0x9FFFE)
    nobody = board.cpu.load(0x8000_0000)
    unaligned = board.cpu.load(machine.HPET + 2, 4)

show.trace_table(events, registers=machine.MEMORY_REGISTERS)

# %%
assert rom.to_bytes(4, "little") == b"virt"                # the ROM ignored the store
assert over_the_edge == nobody == 0xFFFF_FFFF

# %% [markdown]
# A real PC would cut the load over the edge in two. Our bus refuses an access that does not belong to one device as a whole, and says so in the trace; no real driver depends on it.
#
# ## Measure it
#
# Print the same 64 characters through three interfaces, and count what the guest's processor does to devices.

# %%
def accesses(task):
    fresh = machine.lesson_pc()
    driver = UartDriver.at_ports(fresh.cpu)
    driver.init()
    with fresh.trace.recording() as events:
        task(fresh.cpu, driver)
    return len(events)

text = b"x" * 64
counted = {
    "UART, ask each time": accesses(lambda cpu, driver: [driver.put(byte) for byte in text]),
    "UART, sixteen at once": accesses(lambda cpu, driver: driver.write(text)),
    "screen, 2 bytes a store": accesses(lambda cpu, driver: [cpu.store(0xB8000 + 2 * i, 0x0778, 2) for i in range(64)]),
    "screen, 8 bytes a store": accesses(lambda cpu, driver: [cpu.store(0xB8000 + 2 * i, 0x0778_0778_0778_0778, 8) for i in range(0, 64, 4)]),
}
show.bars("Accesses to a device for 64 characters", counted)

# %%
assert list(counted.values()) == [2 * 64, 64 + 64 // 16, 64, 64 // 4]

# %% [markdown]
# ## In a virtual machine
#
# A store to the screen is a store. How can a VMM notice it? It cannot use the I/O bitmap: there is no `OUT`. It uses the page tables instead. The page of the screen is not mapped, so the store *faults*, and the fault is an exit. The whole text costs one exit a store, until the VMM maps the page.

# %%
guest = machine.lesson_vm(board)
guest.cpu.store(0xB8000, 0x074D_0756, size=4)
trapped = guest.exits
guest.vm.assign_memory(0xB8000, 0xB8000, 4096)
guest.cpu.store(0xB8000, 0x0743_0750, size=4)
trapped, guest.exits - trapped, guest.screen.text(), board.screen.rows()[0]

# %%
assert (trapped, guest.exits) == (1, 1)

# %% [markdown]
# [Lesson 09](09_interception.ipynb) takes this apart.
#
# ## How real systems do it
#
# On a PC of today nearly every device is memory-mapped, and the addresses are handed out at boot: that is PCI, [lesson 04](04_pci.ipynb). Processors mark such pages "uncacheable", because a load from a cache would not reach the device. They also keep such accesses in order, which ordinary memory does not promise. A store to a device is *posted*: the processor does not wait for it. A load must wait until the answer has crossed the machine and come back. So drivers store much and load little. Our model has no caches and no reordering; [lesson 15](15_notifications.ipynb) shows what reordering does.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "Why does setting one bit take one instruction through memory and several through ports?",
        ("Instructions such as OR can have memory as an operand, and no port", "Only IN and OUT reach a port, and only from AL, AX or EAX."),
        ("An access to memory is faster than one to a port", "Speed is not the point, and the device is accessed as often."),
        ("A register behind a port cannot be read back, so software keeps a copy", "Most can, LCR among them. The read is an instruction of its own, into AL."),
        place=1,
    ),
    show.question(
        "A PC has 4 GiB of RAM. Why can a 32-bit system use less than that?",
        ("Devices stand below 4 GiB, and RAM cannot be where they are", "The chip set can map the hidden RAM above 4 GiB, where 32 bits do not reach."),
        ("The firmware keeps that part for itself, and hides it from the system", "It keeps a few MiB, and says so in its memory map. Far more than that is missing."),
        ("The ports take the rest", "Ports are another address space."),
    ),
    show.question(
        "A driver reads a 64-bit counter as two 32-bit loads. What protects it?",
        ("Reading the high half again afterwards", "If it changed, the driver starts over. So both halves are from the same 2^32 ticks."),
        ("Nothing needs to: the processor keeps loads in order", "In order, but not at the same time."),
        ("Reading the low half first, then the high one", "Then the carry can come between low and high: too large instead of too small."),
        place=1,
    ),
])

# %% [markdown]
# ## Take away
#
# A memory-mapped device is driven by any instruction that touches memory, in up to eight bytes at once. It pays with addresses, and with a decoder that compares all of them. What a device does at an address is still its own business: a load may change it, and a store may be ignored.
#
# **New terms**: [memory-mapped I/O](../docs/glossary.md#memory-mapped-i-o-mmio), [torn read](../docs/glossary.md#torn-read).
#
# **Read the code**, in this order: [virtlab/devices/text_screen.py](../virtlab/devices/text_screen.py) (a device that is memory), [virtlab/registers.py](../virtlab/registers.py) (a device that is declared), [virtlab/devices/hpet/block.py](../virtlab/devices/hpet/block.py) (one of those).
#
# **Exercise**: problem set 1, [task 5, *the same job through memory*](../exercises/ps01/ps01.ipynb#5.-The-same-job-through-memory), [task 6, *the write rule*](../exercises/ps01/ps01.ipynb#6.-The-write-rule) and [task 7, *a device of your own*](../exercises/ps01/ps01.ipynb#7.-A-device-of-your-own).
#
# **Next**: [lesson 03, DMA](03_dma.ipynb). The device reads and writes memory by itself.

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("02")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the torn read: let the class predict, then run it. It works every time, because the time is virtual. If you have five minutes less, leave out round 4. Question for the room: the text screen answers a load with what was stored, and RBR does not. Which of the two can a compiler optimize, and what must a C driver write to forbid it?
#
# </details>
