# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S01"]
# # One driver, many worlds: a tour
#
# After this lesson you can
#
# - **run** one device driver on a bare machine, in a virtual machine, and on QEMU;
# - **read** the trace of what it did;
# - **count** the exits of a virtual machine, and make them go away.
#
# *25 minutes. Builds on nothing but Python. Topic S01: what I/O virtualization is for. It stands for the lecture's first slide.*

# %% [markdown]
# ## The picture
#
# A device driver is a program that talks to a device. It cannot do much: it reads and writes *ports*, it loads and stores *memory*, and it waits for an interrupt. In this course those few verbs are one Python object, the `Cpu`. The driver sees nothing else.
#
# Below the verbs we can put any world we like.

# %%
from virtlab import machine, show
from virtlab.guest.uart import UartDriver

show.worlds()

# %% [markdown]
# ## Set-up: one PC
#
# `board` is a small PC: RAM, a serial port, a keyboard controller, interrupt controllers, a timer, a text screen. It is the machine of the course; only lessons 19 to 21 put a server in its place. Its serial port is a *UART*, a chip that sends bytes one after the other over a wire. At the far end of the wire is a terminal.

# %%
board = machine.lesson_pc()
driver = UartDriver.at_ports(board.cpu)
show.address_map(board.ports)

# %% [markdown]
# Read the map from the top. A PC has 65,536 ports. A few of them belong to a device. At all the others, nobody answers.
#
# ## Round 1. A driver is a conversation
#
# **Claim: to print one character, the driver asks once and writes once.** It asks the UART "is there room?", and then writes the character.

# %% jupyter={"source_hidden": true}
show.Predict(
    "How many port accesses does it take to print `hello` like this?",
    answer=10,
    why="Five characters, and two accesses for each: one `in` that asks, one `out` that writes.",
)

# %%
with board.trace.recording() as events:
    for byte in b"hello":
        driver.put(byte)

show.trace_table(events, registers=machine.PORT_REGISTERS)

# %%
assert board.terminal.text == "hello"
assert len(events) == 10

# %% [markdown]
# Each row is one access. `LSR` is the line status register; its bit `THRE` says that there is room. `THR` takes the character. The names come from the same declaration that the device itself uses: `virtlab.devices.uart.registers`.
#
# ## Round 2. The same driver in a virtual machine
#
# A *virtual machine* is a machine that software makes on a real one. What runs in it is the *guest*; the real machine is the *host*. **Claim: in a virtual machine, an access to a port stops the guest.** The processor leaves the guest and enters the *virtual machine monitor*, the VMM. That is an **exit**. The VMM looks at what the guest wanted, does it on a *virtual* UART, and enters the guest again. The guest does not notice.
#
# We make a virtual machine on our board. The driver's class is the same. Only the `Cpu` is another.

# %%
guest = machine.lesson_vm(board)
virtual_driver = UartDriver.at_ports(guest.cpu)

# %% jupyter={"source_hidden": true}
show.Predict(
    "How many exits does the same `hello` cost?",
    answer=10,
    why="Every access exits, the question as well as the write: 2 for each of 5 characters.",
)

# %%
with board.trace.recording() as events:
    for byte in b"hello":
        virtual_driver.put(byte)

guest.exits

# %%
show.exit_timeline(events[:9])

# %% [markdown]
# Time runs downwards. The guest is on the left, the VMM in the middle, the device on the right. Each arrow to the middle is an exit. The arrow back is the entry.

# %%
assert guest.exits == 10
assert guest.terminal.text == "hello"      # the virtual UART's terminal
assert board.terminal.text == "hello"      # the physical one got nothing new

# %% [markdown]
# An exit is not free. [Agesen and others](https://www.usenix.org/conference/atc12/technical-sessions/presentation/agesen) measured one with the entry after it (USENIX ATC 2012, table 1). It took 784 cycles on a Sandy Bridge, 230 ns at its 3.4 GHz. That is the time of hundreds of ordinary instructions, before the VMM has done any work.

# %%
show.cost_table({"vm_exit": guest.exits})

# %% [markdown]
# ## Round 3. Open the door
#
# **Claim: the VMM can give the guest a real device, and then nothing exits.** For each port there is one bit in the *I/O bitmap*. With Intel's VT-x, 1 means "exit" and 0 means "go through". We clear the bits of the UART's eight ports.

# %% jupyter={"source_hidden": true}
show.Predict(
    "And now: how many new exits for another `hello`?",
    answer=0,
    why="The bits are 0, so the processor lets the accesses through. The VMM never hears of them.",
)

# %%
before = guest.exits
guest.vm.assign_ports(0x3F8, 8)
for byte in b"hello":
    virtual_driver.put(byte)

guest.exits - before, board.terminal.text, guest.terminal.text

# %%
assert guest.exits == before
assert board.terminal.text == "hellohello"   # this time, the physical terminal

# %% [markdown]
# The guest now drives the hardware itself. It is as fast as the bare machine. The price: no other guest can have this UART. [Lesson 09](09_interception.ipynb) is about this choice; lessons 19 to 21 are about hardware that softens it.
#
# ## Round 4. What it is all for: to share, and to create
#
# The board has one UART. **Claim: two virtual machines can each have one of their own.** Neither of the two exists in hardware. The VMM *creates* them.

# %% tags=["topic:S01"]
alice, bob = machine.lesson_vm(board), machine.lesson_vm(board)
UartDriver.at_ports(alice.cpu).write(b"I am alice\n")
UartDriver.at_ports(bob.cpu).write(b"I am bob\n")

alice.terminal.text, bob.terminal.text

# %% [markdown]
# And it can *share* the one that exists. Only the VMM touches the hardware. It takes what each guest printed, and prints it for them.

# %% tags=["topic:S01"]
shared = machine.lesson_pc()
for name, vm in (("alice", alice), ("bob", bob)):
    UartDriver.at_ports(shared.cpu).write(name.encode() + b": " + bytes(vm.terminal.output))

print(shared.terminal.text)

# %%
assert shared.terminal.text == "alice: I am alice\nbob: I am bob\n"

# %% [markdown]
# That is the goal of I/O virtualization in one line: **share or create I/O devices for virtual machines.** Everything that follows is about how, and at what cost.
#
# ## Play
#
# Choose a text, whether the ports are open, and how the driver asks. Watch the exits.

# %%
show.ExitExplorer()

# %% [markdown]
# ## Break it
#
# A guest may do anything. Here it asks a port that nobody has, and then reads two bytes where only one belongs to the UART. Neither can hurt the host. The answer is all ones, which is what a PC's bus gives when no device answers. The trace says what happened.

# %%
with board.trace.recording() as events:
    nobody = board.cpu.inp(0x999)
    straddle = board.cpu.inp(0x3FF, 2)

show.trace_table(events)

# %%
assert (nobody, straddle) == (0xFF, 0xFFFF)

# %% [markdown]
# ## Measure it
#
# With a question before each character, `n` characters cost `2n` exits. A UART has room for 16 characters. A driver that knows this asks once and then writes up to 16. So `n` characters cost `n + ceil(n / 16)` exits. We count both, and compare with the closed form.

# %%
def exits(way, n):
    fresh = machine.lesson_vm()
    uart = UartDriver.at_ports(fresh.cpu)
    uart.init()
    start = fresh.exits
    way(uart, bytes(n))
    return fresh.exits - start

one_by_one = exits(lambda uart, data: [uart.put(byte) for byte in data], 64)
by_fifo = exits(lambda uart, data: uart.write(data), 64)
show.bars("Exits for 64 characters", {"ask for each": one_by_one, "ask for sixteen": by_fifo}, "exits",
          expected={"ask for each": 2 * 64, "ask for sixteen": 64 + 64 // 16})

# %%
assert one_by_one == 2 * 64
assert by_fifo == 64 + 64 // 16

# %% [markdown]
# This is the first thing to know about performance, and it comes back all through the course: **fewer, larger conversations.** Virtio, in [lesson 12](12_why_virtio.ipynb), takes it to its end.
#
# ## A world that is not ours
#
# The same driver, unchanged, now talks to a UART that we did not write. If QEMU is on your machine, the next cell starts it, runs the driver, and stops it. If it is not, the cell says how to get it.

# %%
def on_qemu():
    from virtlab.hosts.remote import QtestMachine

    if not QtestMachine.available():
        return "QEMU is not on this machine. On Debian or Ubuntu: apt install qemu-system-x86"
    with QtestMachine() as qemu:
        UartDriver.at_ports(qemu).write(b"hello")
        return f"QEMU's UART sent: {qemu.serial.sent().decode()}"

show.Note(on_qemu())

# %% [markdown]
# ## How real systems do it
#
# On a real processor the `Cpu` is not an object, it is the silicon. The I/O bitmap is two pages of memory that the VMM prepares. An exit fills a structure in memory, and the VMM's loop reads it, as ours reads a record. KVM handles the exit inside Linux, or hands it to QEMU, which is an ordinary program with a model of each device. Our UART is such a model. Our model leaves out the noise on the wire. It does not leave out a register: it gave a recorded boot of Linux every answer that QEMU's gave, as you will see in [lesson 01](01_port_io.ipynb).
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "In a virtual machine, what does the guest's driver notice of an exit?",
        ("Nothing, except that time has passed", "The VMM gives it the answer that a device would have given."),
        ("An interrupt, whose handler then finds the value", "An interrupt comes from a device. An exit is between the processor and the VMM."),
        ("An error code, so that it tries the access again", "The guest asked for nothing unusual. It read a port."),
    ),
    show.question(
        "In VT-x, a bit of the I/O bitmap is 1. What happens at that port?",
        ("The access exits to the VMM", "1 means exit (SDM 3C 26.1.3)."),
        ("The access goes straight to the device", "That is what 0 means. The lecture calls an open port 'bitmap ON', which sounds like 1: beware."),
        ("The access is ignored", "Somebody has to answer. The VMM may decide to ignore it; the bitmap cannot."),
        place=1,
    ),
    show.question(
        "Why is a virtual machine's own, virtual UART useful, if a real one is faster?",
        ("Each of many guests can have one", "The hardware may have one or none. Share or create: the goal of I/O virtualization."),
        ("It has fewer registers, so it is simpler to program", "It has the same registers, bit for bit."),
        ("It needs no driver in the guest", "The guest runs the very same driver."),
        place=2,
    ),
])

# %% [markdown]
# ## Take away
#
# A driver knows a few verbs, and not what stands below them. In a virtual machine each verb may exit to the VMM, which answers with a virtual device. Exits cost time, so good designs have few of them.
#
# **New terms**: [access](../docs/glossary.md#access), [all ones](../docs/glossary.md#all-ones), [board](../docs/glossary.md#board), [driver](../docs/glossary.md#driver), [entry](../docs/glossary.md#entry-vm-entry), [exit](../docs/glossary.md#exit-vm-exit), [guest](../docs/glossary.md#guest), [host](../docs/glossary.md#host), [I/O bitmap](../docs/glossary.md#i-o-bitmap), [KVM](../docs/glossary.md#kvm), [LSR](../docs/glossary.md#lsr), [port](../docs/glossary.md#port), [QEMU](../docs/glossary.md#qemu), [register](../docs/glossary.md#register), [THR](../docs/glossary.md#thr-thre), [trace](../docs/glossary.md#trace), [UART](../docs/glossary.md#uart), [vCPU](../docs/glossary.md#vcpu), [virtual device](../docs/glossary.md#virtual-device), [virtual machine](../docs/glossary.md#virtual-machine), [VMM](../docs/glossary.md#vmm).
#
# **Read the code**, in this order: [virtlab/cpu.py](../virtlab/cpu.py) (the verbs), [virtlab/guest/uart.py](../virtlab/guest/uart.py) (the driver), [virtlab/vmm/vcpu.py](../virtlab/vmm/vcpu.py) (where a verb becomes an exit).
#
# **Exercise**: problem set 1, [task 1, *who answers at an address*](../exercises/ps01/ps01.ipynb#1.-Who-answers-at-an-address).
#
# **Next**: [lesson 01, port-mapped I/O](01_port_io.ipynb). How does a byte get from a CPU to a device through a port?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("00")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is round 3: run it, then ask the room *where the text came out* before you show the last line. Allow two minutes for the word "bitmap ON" against "bit 1 means exit"; it returns in lesson 09. If QEMU is missing on the projector's machine, that cell says so; nothing else depends on it. Question for the room: what else, besides time, could a guest use to notice that it is in a virtual machine?
#
# </details>
