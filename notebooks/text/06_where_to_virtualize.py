# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S08"]
# # Which interface do you cut?
#
# After this lesson you can
#
# - **name** the three places where a VMM can take I/O away from a guest;
# - **count** what one `write` costs at each: exits, world switches, copies;
# - **say** what each place costs beside time: another kernel, another driver, or nothing.
#
# *35 minutes. Builds on lessons 01 to 03. Topics S08 to S11: the three layers, and each of them. It stands for the lecture's slides "Where to virtualize I/O".*

# %% [markdown]
# ## The picture
#
# A program writes 4096 bytes to a file. Below it stand a kernel, a driver, and the instructions that reach a disk. From each boundary an arrow leads out, to a VMM.

# %%
from virtlab import machine, show
from virtlab.show.layer_runs import Choice, Counts, closed_form, counts_of, volume_on

show.layer_journey({}, Choice(size=4096))

# %% [markdown]
# The further down you cut, the less the VMM is told. At the top it hears *these bytes, to that file*. In the middle, *this block, to that sector*. At the bottom, *0x41 to port 0x1F0*.
#
# ## Round 1. One write, on the bare machine
#
# We need a guest with all its layers. This one is small and complete: an application, a kernel with system calls, a file system, and a block driver for [lesson 03](03_dma.ipynb)'s disk.

# %%
from virtlab.guest.ata import AtaDriver
from virtlab.guest.blocks import DmaBlocks, HypercallBlocks, PioBlocks
from virtlab.guest.kernel import BUFFER, TABLE, Application, Kernel

board = machine.lesson_pc()
volume_on(board)                                 # a file system with the file "notes", 64 KiB
driver = AtaDriver(board.cpu)
driver.mute()                                    # it polls
kernel = Kernel(board.cpu, PioBlocks(driver), board.trace)
program = Application(board.cpu, kernel.entry)   # SYSCALL goes to the kernel's entry

# %% [markdown]
# **Claim: one system call becomes thousands of accesses.** A PIO command costs 8 accesses: six registers are written, a status is read before and after. Each sector then costs 256 words and one more status.

# %% jupyter={"source_hidden": true}
show.Predict(
    "4096 bytes are 8 sectors. How many port accesses for one `write`?",
    answer=2064,
    within=20,
    why="8 for the command, and 8 sectors of 256 words and a status: 8 + 8 × 257.",
)

# %%
page = b"To be virtual, or not to be. ".ljust(64) * 64

def write(program, trace, data=page):
    """Open the file and write: what the write alone has cost."""
    descriptor = program.open(b"notes")
    trace.clear()
    assert program.write(descriptor, data) == len(data)
    return counts_of(trace)

counts = write(program, board.trace)
ports = board.trace.counts["in"] + board.trace.counts["out"]
print(ports, "port accesses,", counts.copies, "copies,", counts.exits, "exits")

# %%
assert ports == 8 + 8 * 257
assert board.disk.read(65, 8) == page            # the directory is sector 64, "notes" begins at 65

# %% [markdown]
# The *copies* are moves of a block from one memory to another. The kernel takes the bytes from the application: one. The disk stores each sector when it is full: eight. Nothing exits, for there is nowhere to exit to.

# %% [markdown] tags=["topic:S11"]
# ## Round 2. Cut at the I/O operation
#
# **Claim: at the bottom nothing in the guest changes, and every access is an exit.** Port instructions are privileged: the I/O bitmap lets each of them trap. Registers in memory are protected: their pages are missing. So the VMM sees everything, and a *device model* answers. The same kernel, the same driver, in a virtual machine:

# %% jupyter={"source_hidden": true}
show.Predict(
    "The same 4096 bytes by PIO, in the virtual machine. How many exits?",
    answer=2064,
    why="One for each port access. An exit goes out and comes back: two world switches.",
)

# %%
vm = machine.lesson_vm()
disk = volume_on(vm)
driver = AtaDriver(vm.cpu)
driver.mute()
kernel = Kernel(vm.cpu, PioBlocks(driver), vm.trace)
program = Application(vm.cpu, kernel.entry)
by_pio = write(program, vm.trace)
by_pio

# %%
assert by_pio.exits == ports == 2064
assert by_pio.switches == 2 * by_pio.exits
assert vm.disk.read(65, 8) == page

# %% [markdown]
# That was one half of "at the I/O operation". The other half is a register in memory: it traps because its page is not in the guest's tables.

# %%
vm.trace.clear()
vm.cpu.inp(machine.UART + 5)                     # a status, by a port
vm.cpu.load(machine.UART2 + (5 << 2), 1)         # the same status of the second UART, in memory
{name: n for name, n in vm.trace.counts.items() if name.startswith("exit ")}

# %%
assert vm.trace.counts["exit IoExit"] == vm.trace.counts["exit EptViolation"] == 1

# %% [markdown]
# The guest may have a better driver for its disk. By DMA the words go past the processor. Then only the command exits.

# %% jupyter={"source_hidden": true}
show.Predict(
    "By DMA, the driver polls. About how many exits for 4096 bytes?",
    answer=15,
    within=4,
    why="7 for the command, 4 for the bus master, 1 to stop it, and 3 reads of a status. The size does not matter.",
)

# %%
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci

bus_master = find(enumerate_pci(vm.cpu), 0x8086, 0x7010).bar(4)
driver = AtaDriver(vm.cpu, bus_master=bus_master, table=TABLE)
driver.mute()
kernel = Kernel(vm.cpu, DmaBlocks(vm.cpu, driver, BUFFER), vm.trace)
program = Application(vm.cpu, kernel.entry)

descriptor = program.open(b"notes")
with vm.trace.recording() as events:
    program.write(descriptor, page)

seen = [e for e in events if e.kind in ("system call", "copy", "exit", "out", "in", "entry")]
show.exit_timeline(seen, limit=14, title="The same write by DMA")

# %%
by_dma = write(program, vm.trace)
assert by_dma.exits == sum(event.kind == "exit" for event in events) == 15
assert write(program, vm.trace, page * 16).exits == 15

# %% [markdown] tags=["topic:S10"]
# ## Round 3. Cut at the driver call
#
# Fifteen exits say one thing: write this block there. **Claim: a driver that knows the VMM says it in one.** It puts sector, length and address into registers and executes `VMCALL`. That is a *hypercall*. The VMM's *I/O component* checks the request and moves the block. Such a driver is *para-virtual*.

# %% jupyter={"source_hidden": true}
show.Predict(
    "One hypercall moves at most 64 KiB here. How many exits for a write of 65,536 bytes?",
    answer=1,
    why="The request has three numbers, whatever the size. By PIO it would be 8 + 128 × 257 = 32,904.",
)

# %%
from virtlab.vmm.hypercalls import BlockService

service = BlockService(vm.vm, disk)              # in the VMM
kernel = Kernel(vm.cpu, HypercallBlocks(vm.cpu, service.vmcall, BUFFER), vm.trace)
program = Application(vm.cpu, kernel.entry)

by_hypercall = write(program, vm.trace)
by_hypercall, write(program, vm.trace, page * 16).exits

# %%
assert by_hypercall == Counts(exits=1, system_calls=1, copies=2, bytes_copied=2 * 4096, switches=2)
assert vm.disk.read(65, 128) == page * 16

# %% [markdown]
# The price stands in the code: the guest's kernel has another driver. Somebody had to write it, for this VMM. And it runs nowhere else, as you will see below.

# %% [markdown] tags=["topic:S09"]
# ## Round 4. Cut at the system call
#
# **Claim: at the top the guest's kernel does not run at all.** The VMM takes the call before the kernel sees it. It has *shadow I/O routines* of its own: they know what `write` means, which file descriptor 3 stands for, and where that file lies. They do the work on the host, and the application goes on with the result.
#
# How does a VMM catch `SYSCALL`? VT-x has no exit for it. But while bit SCE of the control register EFER is 0, the instruction is undefined. It raises an exception, *invalid opcode*, number 6. The VMM may intercept exceptions, and sees by the bytes at the instruction pointer that this one was a system call.

# %% jupyter={"source_hidden": true}
show.Predict(
    "At the system call: how many copies of the data are made?",
    answer=1,
    why="The VMM takes the bytes where the application has them. The kernel, which used to copy them first, is not there.",
)

# %%
from virtlab.vmm.syscalls import ShadowRoutines

theirs = program.open(b"notes")                  # once more through the kernel, for later
shadow = ShadowRoutines(vm.vm, disk, kernel.entry)
before, program = program, Application(vm.cpu, shadow.syscall)    # EFER.SCE is clear from here on

with vm.trace.recording() as events:
    descriptor = program.open(b"notes")
    program.write(descriptor, page)

seen = [e for e in events if e.kind in ("system call", "exit", "copy", "entry")]
show.exit_timeline(seen, title="Open and write: two calls, two exits")

# %%
by_syscall = write(program, vm.trace)
assert by_syscall == Counts(exits=1, system_calls=0, copies=1, bytes_copied=4096, switches=2)
assert vm.disk.read(65, 8) == page

# %% [markdown]
# Calls that are not on files go to the guest's kernel after all. The VMM lets it run as if the exception had never been.

# %%
from virtlab.guest.calls import GETPID, Call, Errno

vm.trace.clear()
print("process", program.call(GETPID), "for", vm.trace.counts["exit"], "exits")

# %%
assert vm.trace.counts["exit"] == 2              # SYSRET is undefined, too

# %% [markdown] tags=["topic:S08"]
# ## All of them
#
# Four ways, the same bytes on the same disk. Each number is from a run.

# %%
runs = {"syscall": by_syscall, "hypercall": by_hypercall, "dma": by_dma, "pio": by_pio}
show.layer_journey(runs, Choice(size=4096))

# %%
assert runs == {way: closed_form(way, 4096) for way in runs}

# %% [markdown]
# ## Play
#
# Choose where the VMM stands and how much is written, and step along the journey. Hatched is what never runs. Look for the way whose exits grow with the size. Then look at what grows in all of them.

# %%
show.LayerLab()

# %% [markdown]
# ## Break it
#
# The shadow routines have a second table of open files. In round 4 a program opened a file before the VMM stepped in. The kernel knows that descriptor. Does the VMM?

# %%
program.call(Call.WRITE, theirs, program.data, 8)

# %%
assert program.call(Call.WRITE, theirs, program.data, 8) == -Errno.EBADF
assert before.call(Call.WRITE, theirs, program.data, 8) == 8        # if the kernel still had the calls

# %% [markdown]
# Two kernels, two truths. A VMM that cuts here must be there from the first call on, and must do *every* call that touches a file. It must also check as a kernel checks. A program may name any address, for instance one of its kernel's own. If the VMM believed it, the kernel's memory would be in a file.

# %%
assert program.call(Call.WRITE, descriptor, BUFFER, 4096) == -Errno.EFAULT

# %% [markdown]
# The para-virtual driver breaks in another way. Here it wakes up on a VMM that does not have its service. The call is answered, with a number that means *no such call*.

# %%
from virtlab.vmm.vcpu import Vmcall

other = machine.lesson_vm()

def vmcall(number, arguments):
    return other.cpu.finish(Vmcall(number, arguments))

stranded = Kernel(other.cpu, HypercallBlocks(other.cpu, vmcall, BUFFER))
print(hex(vmcall(0x11, ())), Application(other.cpu, stranded.entry).open(b"notes"))

# %%
assert Application(other.cpu, stranded.entry).open(b"notes") == -Errno.EIO

# %% [markdown]
# ## Measure it
#
# What would it cost outside? Published prices, from several machines, so trust the order of magnitude only. First the way with the most exits.

# %%
show.cost_table(by_pio.priced, "4096 bytes by PIO, about")

# %% [markdown]
# Exits are everything there: 99 of 100 nanoseconds. With DMA they are not. Fifteen exits cost 15 × 230 ns = 3,450 ns, whatever the size; the two copies cost 2 × 1,046 ns for each page.

# %% jupyter={"source_hidden": true}
show.Predict(
    "By DMA: from how many pages on do the copies cost more than the exits?",
    answer=2,
    why="One page: 2,092 ns of copies against 3,450. Two pages: 4,184.",
)

# %%
from virtlab.clock import COSTS

def parts(way, pages):
    run = closed_form(way, 4096 * pages)
    return run.exits * COSTS["vm_exit"].ns, run.bytes_copied / 4096 * COSTS["copy_page"].ns

assert [exits < copies for exits, copies in (parts("dma", n) for n in (1, 2))] == [False, True]
ways = {"system call": "syscall", "driver call": "hypercall", "I/O operation, DMA": "dma"}
large = {words: round(closed_form(way, 65536).ns / 1000, 1) for words, way in ways.items()}
show.bars("64 KiB: about so many µs", large, "µs")

# %% [markdown]
# At 64 KiB the three ways differ by a factor of two, and that is the kernel's copy. Whoever wants to be fast must save copies, once the exits are few. PIO is not in the picture: it would be 200 times as long.
#
# ## How real systems do it
#
# Most VMMs cut at the bottom, for it asks nothing of the guest: QEMU's disks and network cards are device models. They are kinder than ours. A real driver moves a sector by `REP OUTSW`, one instruction, and a VMM may take the whole string in one exit. Drivers that know the VMM are common as well: Xen's drivers for disks and network cards, VMware's PVSCSI, and virtio, which lessons 12 to 17 are about. They share a ring of requests, so that many requests need one call. The top is cut by sandboxes. gVisor takes each system call of a program and serves it by a kernel of its own. The first Windows Subsystem for Linux did so for Linux programs; the second runs a real Linux kernel in a VM, because the meaning of all those calls was too much to copy. Our kernel has one process, no paging and no cache. A real `write` returns when the bytes are in the kernel's cache; the disk follows later, with larger blocks.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "A VMM must run an old operating system that nobody can change. Where does it cut?",
        ("At the I/O operation", "The guest finds the devices it knows. All the work is in the device model."),
        ("At the driver call", "That needs a driver of yours in a system that you cannot change."),
        ("At the system call, whose numbers are documented", "It could, but it had to know all calls of that system, and what they mean."),
        place=2,
    ),
    show.question(
        "Why is one hypercall enough for 64 KiB, and one trapped OUT is not?",
        ("The hypercall carries an address, and the VMM fetches the data", "An OUT carries the datum itself, 2 bytes of it. DMA is cheap for the same reason."),
        ("VMCALL is a faster instruction", "Both exit, and an exit costs about the same."),
        ("The hypercall exits once for each page, and not once for each word", "It exits once for all 16 pages."),
    ),
    show.question(
        "The VMM has cut at the system call. The guest's own `ls`, served by the kernel, shows an old length. Why?",
        ("The kernel has its own picture of the directory, and nobody told it", "The shadow routines changed the disk behind its back."),
        ("The kernel's read was not shown to the VMM, and found nothing", "The kernel did not read at all: it had a picture already."),
        ("The shadow routine has not yet written the directory", "It has. The disk is up to date, and the kernel does not look."),
        place=1,
    ),
    show.question(
        "A guest by PIO: 2,064 exits for 8 sectors. Which change saves the most?",
        ("Another block driver: DMA, or a hypercall", "From 2,064 to 15, or to 1."),
        ("A processor whose exits cost half", "That saves half. The driver saves 99 of 100."),
        ("Larger sectors, so that each command moves more", "The words stay as many, and each word is an exit."),
        place=1,
    ),
])

# %% [markdown]
# ## Take away
#
# The higher the cut, the fewer the exits, for a whole intention passes in one. The higher the cut, the more the VMM must know: registers, then a request of its own, then a whole operating system. A device model pays with exits, a para-virtual driver with somebody's work on it, and a cut at the system call with an operating system in the VMM.
#
# **New terms**: [copy](../docs/glossary.md#copy), [device model](../docs/glossary.md#device-model), [hypercall](../docs/glossary.md#hypercall), [I/O component](../docs/glossary.md#i-o-component), [para-virtual driver](../docs/glossary.md#para-virtual-driver), [shadow I/O routine](../docs/glossary.md#shadow-i-o-routine), [system call](../docs/glossary.md#system-call), [system-call interception](../docs/glossary.md#system-call-interception).
#
# **Read the code**, in this order: [virtlab/guest/kernel.py](../virtlab/guest/kernel.py) (the layers), [virtlab/vmm/hypercalls.py](../virtlab/vmm/hypercalls.py) (one request, checked), [virtlab/vmm/syscalls.py](../virtlab/vmm/syscalls.py) (a call that never arrives).
#
# **Exercise**: problem set 3, [task 1, *one request at three layers*](../exercises/ps03/ps03.ipynb#1.-One-request-at-three-layers).
#
# **Next**: [lesson 07, device model](07_device_model.ipynb). Who answers all those exits, and where does it live?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("06")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the last bar chart: after two thousand exits, the class expects the exits to matter always. At 64 KiB the three ways differ by a copy. Question for the room: which of the three could a guest notice? (By time, all of them; by its own tables, the cut at the system call.) If you have ten minutes less, leave out the DMA part of round 2 and the third break. Keep the drawing of the three arrows on the board: the next part's question, full or para-virtual, is the choice between the lower two.
#
# </details>
