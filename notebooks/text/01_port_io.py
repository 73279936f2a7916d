# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S02"]
# # How does a byte get to a device through a port?
#
# After this lesson you can
#
# - **drive** a 16550 UART by its ports, one bit at a time;
# - **predict** what accesses of 1, 2 and 4 bytes give, and what nobody's port gives;
# - **read** a real boot of Linux as the 4,891 port accesses that it was.
#
# *45 minutes. Builds on lesson 00. Topic S02: port-mapped I/O. It stands for the lecture's slide "Port-mapped I/O".*

# %% [markdown]
# ## The picture
#
# The driver writes 0x41 to port 0x3F8. A letter A leaves the machine on a wire. In between there is an address decoder: something that looks at sixteen bits and says "that is the UART".

# %%
from virtlab import machine, show
from virtlab.devices import uart
from virtlab.guest.uart import UartDriver
from virtlab.recordings import recording, replay

board = machine.lesson_pc()
show.address_map(board.ports)

# %% [markdown]
# ## Round 1. Two address spaces
#
# **Claim: ports are not memory.** The 8086 had a pin, M/IO#. When an instruction `IN` or `OUT` ran, the pin said "this address is a port". All other instructions drove it the other way. So the same number on the address bus means two different things.

# %% jupyter={"source_hidden": true}
show.Predict(
    "We write 0x41 to port 0x3F8, then load a byte from memory at 0x3F8. What do we get?",
    answer="0x00",
    options=["0x41", "0x00", "0xff"],
    why="Memory at 0x3F8 is RAM, and nobody wrote to it. The port is a UART, and it sent the letter away.",
)

# %%
board.cpu.out(0x3F8, 0x41)
hex(board.cpu.load(0x3F8, 1)), board.terminal.text

# %%
assert board.cpu.load(0x3F8, 1) == 0
assert board.terminal.text == "A"

# %% [markdown]
# ## Round 2. One, two or four bytes
#
# `IN` and `OUT` come in three sizes: `outb`, `outw`, `outl`. The UART has eight data lines. **Claim: the bus turns a wide access into several narrow ones, lowest address first.** So a two-byte write to port 0x3F8 writes two *registers*.

# %% jupyter={"source_hidden": true}
show.Predict(
    "`outw` of 0x0342 to port 0x3F8. What happens to the byte 0x03?",
    answer="it goes to port 0x3F9",
    options=["it is lost", "it is sent as a second character", "it goes to port 0x3F9"],
    why="The bus makes two cycles: 0x42 to 0x3F8 (THR), 0x03 to 0x3F9 (IER, which interrupts may come).",
)

# %%
board.cpu.out(0x3F8, 0x0342, size=2)
board.terminal.text, hex(board.uart.peek()["IER"])

# %%
assert board.terminal.text == "AB"
assert board.uart.peek()["IER"] == 0x03

# %% [markdown]
# What about an access that begins in the UART and ends outside, or one that meets no device at all? Here are both, and a size 4 that fits.

# %%
board.cpu.out(0x3F9, 0)
with board.trace.recording() as events:
    answers = [board.cpu.inp(0x3FC, 4), board.cpu.inp(0x3FF, 2), board.cpu.inp(0x999, 4)]

show.trace_table(events, registers=machine.PORT_REGISTERS)

# %%
assert answers[1:] == [0xFFFF, 0xFFFFFFFF]

# %% [markdown]
# The first answer holds four registers: MCR, LSR, MSR and SCR. The other two are all ones. On a PC's bus the data lines float high when no device drives them. Firmware uses this to find out what is *not* there.
#
# ## Round 3. Eight ports, twelve registers
#
# Ports were precious, so the chip's designers saved them. **Claim: what stands behind a port depends on the direction, and on a bit elsewhere.** Port 0x3F8 is RBR when read, THR when written, and the low divisor byte while the bit DLAB is set.

# %%
show.registers_picture(uart.REGISTERS, board.uart.peek(), "A 16550 after reset and three writes")

# %% [markdown]
# To set the speed, the driver sets DLAB, writes a divisor in two bytes, and clears DLAB. The chip divides 1.8432 MHz by 16 times that divisor.

# %% jupyter={"source_hidden": true}
show.Predict(
    "For 9600 bits a second, which divisor?",
    answer=12,
    why="1,843,200 / (16 * 9600) = 12. The recorded boot below writes 0x0c and 0x00.",
)

# %%
with board.trace.recording() as events:
    UartDriver.at_ports(board.cpu).init(9600)

show.trace_table(events, registers=machine.PORT_REGISTERS)

# %%
assert (board.uart.dlm, board.uart.dll) == (0, 12)

# %% [markdown]
# Count the rows. Setting one number took several instructions: that is the first price of port I/O. A register that you can only reach through another register needs an order, and an order can be interrupted.
#
# ## Round 4. Ask before you write
#
# A wire is slow. At 9600 bits a second and 10 bits a character, one character takes 1,041,666 ns. An access to a port on the ISA bus takes about 720 ns. **Claim: a driver that asks before each character spends nearly all of its accesses asking.** So far our UART was infinitely fast. This board's is not.

# %% jupyter={"source_hidden": true}
show.Predict(
    "About how many times does the driver read LSR while one character goes out?",
    answer=1446,
    within=100,
    why="One read takes 720 ns, so about 1,041,666 / 720 = 1,446 of them fit. Within a hundred of that is right.",
)

# %%
slow = machine.lesson_pc(timed=True)
driver = UartDriver.at_ports(slow.cpu)
driver.init(9600)
driver.put(0x41)
driver.put(0x42)
slow.trace.clear()
driver.put(0x43)
slow.trace.counts

# %%
polls = slow.trace.counts["in"]
assert abs(polls - 1_041_666 / 720) < 3

# %% [markdown]
# At 115,200 bits a second it would be a twelfth of that. The 16550's FIFO helps too: it takes sixteen characters for one question.
#
# ## Round 5. Or be called
#
# The other answer is not to ask at all. **Claim: with an interrupt, the device calls, and until then the driver makes no access.** The UART raises its line, IRQ 4. Two chips of type 8259A collect the lines. They hand the processor a number, the *vector*. The guest's last verb waits for it.

# %%
from virtlab.guest.pic import Pics

called = machine.lesson_pc()
pics = Pics(called.cpu)
pics.remap()                                   # IRQ 0 is vector 0x20, and so on
pics.unmask(machine.UART_IRQ)
driver = UartDriver.at_ports(called.cpu)
driver.init(trigger=1)
driver.listen()

# %% jupyter={"source_hidden": true}
show.Predict(
    "Somebody will press k in 5 ms. How often does the driver read LSR until then?",
    answer=0,
    why="It makes no access at all. The processor is free for other work, or it sleeps.",
)

# %%
called.trace.clear()
called.clock.after(5_000_000, lambda: called.terminal.type("k"))
vector = called.cpu.wait()
hex(vector), called.clock.now, called.trace.counts["in"]

# %%
assert (vector, called.trace.counts["in"]) == (0x20 + machine.UART_IRQ, 0)

# %% [markdown]
# Only now does the driver ask. IIR, the interrupt identification register, names the most urgent cause. The driver serves one cause after the other, until IIR has none left.

# %%
with called.trace.recording() as events:
    causes = driver.service()
pics.eoi(machine.UART_IRQ)                     # end of interrupt: the next one may come

show.trace_table(events, registers=machine.PORT_REGISTERS)

# %%
assert causes == [uart.Cause.DATA_AVAILABLE]
assert bytes(driver.received) == b"k"

# %% [markdown]
# ## Round 6. A real boot
#
# Now drivers that we did not write. A PC was started in QEMU, and every access of its firmware and its kernel to the UART was written down. SeaBIOS and then Linux 6.1 made 4,891 of them, from power-on to a shell. **Claim: our UART gives every answer that QEMU's gave.** We send it each recorded write. We compare its answer to each recorded read.

# %%
boot = recording("uart16550")
len(boot), sum(not access.write for access in boot)

# %%
fresh = machine.lesson_pc()
differences = replay(boot, fresh.ports)
len(differences)

# %%
assert differences == []
console = fresh.terminal.text.splitlines()
print("\n".join(console[:6] + ["..."] + console[-7:]))

# %% [markdown]
# That is the kernel's own console, rebuilt from port writes. The line `4:` counts the interrupts of `ttyS0`: this UART. Step through the boot. Watch Linux find out which chip it has, choose a speed, switch on the FIFO, and then print.

# %%
places = {"SeaBIOS finds the UART": 2289, "SeaBIOS sets 9600 bits a second": 4442, "Linux finds a UART": 53047,
          "Linux looks for an EFR, and finds none": 53055, "Linux opens ttyS0": 53940, "the FIFO goes on": 54001,
          "the first character": 54145, "the interrupt is switched off": 54229, "the last line": 64756}
where = {access.seq: index for index, access in enumerate(boot)}
show.TracePlayer(boot, machine.PORT_REGISTERS, start=where[54145],
                 chapters={words: where[seq] for words, seq in places.items()})

# %% [markdown]
# How good a driver is Linux? One number: accesses per character.

# %%
characters = len(fresh.terminal.output)
bursts = sum(1 for a in boot if not a.write and a.address == 0x3FA and a.value & 0xF == uart.Cause.THR_EMPTY)
show.bars("The recorded boot", {"accesses": len(boot), "characters": characters, "interrupts with room": bursts})

# %%
round(len(boot) / characters, 2)

# %% [markdown]
# About one and a half. Linux waits for the interrupt "THR empty", reads IIR, LSR and MSR once, and then writes up to sixteen characters.
#
# ## Play
#
# Here is a UART of your own. Choose a register, turn its bits, and write it. Try this: set `LOOP` in MCR and write it. Then choose THR, give it a value, and write that. Where does the character turn up, and which bit of LSR tells you? The upper picture looks into the chip without touching it. A driver cannot do that: when it reads RBR, the character is gone.

# %%
own = machine.lesson_pc().uart
show.RegisterViewer(uart.REGISTERS, own.peek, write=lambda reg, value: own.write(reg.offset, 1, value),
                    title="A UART of your own", chosen="MCR")

# %% [markdown]
# ## Break it
#
# A wire does not wait. Somebody types 20 characters and nobody reads. The FIFO holds 16. The UART says so in one bit, `OE`, overrun error, and the rest is gone.

# %%
busy = machine.lesson_pc(timed=True)
UartDriver.at_ports(busy.cpu).init(115200)
busy.terminal.type("abcdefghijklmnopqrst")
busy.clock.advance(3_000_000)
show.register_picture(uart.LSR, busy.cpu.inp(0x3FD))

# %%
received = bytes(busy.cpu.inp(0x3F8) for _ in range(16))
received, hex(busy.cpu.inp(0x3FD))

# %%
assert received == b"abcdefghijklmnop"

# %% [markdown]
# ## Measure it: what decoding costs
#
# For ports: little decode logic. To recognize eight ports, a decoder compares the 13 upper of 16 address bits. The same eight registers in a 52-bit memory space need 49. Early PC cards compared only the lower 10 bits of a port's address, to save a chip. That saving lasts: the port space cannot grow past 65,536, and much of what is left answers twice.

# %%
show.decode_picture(show.Range("8 ports", 0x3F8, 8, 16), show.Range("8 bytes of memory", 0xFE034000, 8, 52),
                    title="The same eight registers, recognized in two spaces")

# %%
from virtlab.bus import decoders

assert [d.bits for d in decoders(0x3F8, 8, 16)] == [13]
assert [d.bits for d in decoders(0xFE034000, 8, 52)] == [49]

# %% [markdown]
# ## How real systems do it
#
# PCs of today have the port space still. The UART's ports are behind a bridge that turns PCI Express packets back into something like ISA cycles; an access there takes about a microsecond, whatever the processor's speed. Linux has long used a write to port 0x80, which nobody needs, as a delay of that length. ARM and RISC-V have no ports at all. PCI Express keeps I/O requests for old devices only. In a virtual machine each of these accesses may exit, so the ratio "accesses per character" is what a cloud pays for. Our model sends to a terminal object; it leaves out noise, parity errors on the wire, and the DMA pins.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "Why does reading port 0x3F8 twice give two different values?",
        ("Each read takes one character out of the receiver", "Reading RBR has a side effect. So a debugger must not read ports just to look."),
        ("The first read gives what was written last, the second what was received", "A written byte goes to THR. No read of the port gives it back."),
        ("The second read reaches port 0x3F9", "A one-byte read stays at its port."),
        place=1,
    ),
    show.question(
        "`inl` at port 0x3FD: which ports answer?",
        ("0x3FD to 0x400, so nobody: it leaves the UART", "0x400 is not the UART's. Here the whole access is refused, and reads all ones."),
        ("0x3FD only: a register of the UART has one byte", "`inl` reads four bytes: four ports."),
        ("0x3FC to 0x3FF, rounded down", "Nothing rounds an address for you."),
    ),
    show.question(
        "The driver set DLAB and was interrupted. The interrupt's handler prints a character. What happens?",
        ("The divisor changes: the line now has another speed", "Behind port 0x3F8 is DLL while DLAB is set. Real drivers hold a lock."),
        ("The character waits until DLAB is clear", "The chip does not know that it is a character."),
        ("The UART raises an error", "It is a legal write."),
        place=1,
    ),
    show.question(
        "What is port-mapped I/O good for?",
        ("Devices take no room from memory", "And decoding is cheap. For these two reasons it was invented. Both matter little today."),
        ("An access is faster than one to memory", "It is slower: the processor waits for each access to finish."),
        ("Any instruction can have a port as an operand", "Only IN and OUT, and only with the register AL, AX or EAX."),
    ),
])

# %% [markdown]
# ## Take away
#
# A port is an address in a space of its own, reached by two instructions. What a port means can depend on the direction and on hidden state. Asking costs as much as doing, so a good driver asks rarely.
#
# **New terms**: [address decoder](../docs/glossary.md#address-decoder), [address space](../docs/glossary.md#address-space), [DLAB](../docs/glossary.md#dlab), [FIFO](../docs/glossary.md#fifo), [IIR](../docs/glossary.md#iir), [interrupt](../docs/glossary.md#interrupt), [IRQ line](../docs/glossary.md#irq-line), [overrun](../docs/glossary.md#overrun), [PIC](../docs/glossary.md#pic), [port-mapped I/O](../docs/glossary.md#port-mapped-i-o-pmio), [vector](../docs/glossary.md#vector).
#
# **Read the code**, in this order: [virtlab/bus.py](../virtlab/bus.py) (who answers), [virtlab/devices/uart/registers.py](../virtlab/devices/uart/registers.py) (the declarations), [virtlab/devices/uart/device.py](../virtlab/devices/uart/device.py) (the decode).
#
# **Exercise**: problem set 1, [task 2, *print through a port*](../exercises/ps01/ps01.ipynb#2.-Print-through-a-port), [task 3, *set the line*](../exercises/ps01/ps01.ipynb#3.-Set-the-line) and [task 4, *read a recorded boot*](../exercises/ps01/ps01.ipynb#4.-Read-a-recorded-boot).
#
# **Next**: [lesson 02, memory-mapped I/O](02_memory_mapped_io.ipynb). What changes when a device *is* memory?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("01")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the boot player: jump to the end first, let the class read the console, then go back to the first access and ask what each write is for. If time is short, leave out round 2. Questions for the room: why does Linux write 0xBF to LCR (access 53055)? It looks for a 16C950's register EFR; a 16550A ignores it. Why is the interrupt count of `ttyS0` so low? It is read before most of the text is printed.
#
# </details>
