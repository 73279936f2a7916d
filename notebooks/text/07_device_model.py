# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where does a device live?
#
# After this lesson you can
#
# - **name** the four interfaces that a device model emulates, and find each of them in a trace;
# - **count** what an access costs when the model is inside the VMM, and when it is a process of its own;
# - **kill** a device, say what its guest sees, and bring it back without losing a write.
#
# *40 minutes. Builds on lessons 03 and 06. Topics S12: the device model; S13: its two homes; S14: the flow; S48: where the interrupt controller lives. It stands for the lecture's slides "Device model" and "ARMvisor".*

# %% [markdown]
# ## The picture
#
# A driver asks a UART whether it may send: one `IN`. The port exits. The VMM has no UART in it: the model is a *service*, a process of its own. Each heavy arrow is a **world switch**: the processor leaves one world, be it guest, VMM or process, for another.

# %%
from virtlab import show
from virtlab.show.journey_runs import Plan, run

show.journey_picture(run(Plan("in", home="service")))

# %% [markdown]
# An exit is two world switches, out of the guest and back. Here there are four. Where the device model lives is a choice. This lesson is about its price, and about what you get for it.
#
# The services here are real processes. Where none can be started, in a browser's Python for instance, the cells that need one end with a sentence that says so.

# %%
from virtlab import machine
from virtlab.vmm import placement
from virtlab.vmm.meter import Meter

board = machine.lesson_pc()
placement.share(board)                       # memory that two processes can map
guest = machine.lesson_vm(board)

# %% [markdown] tags=["topic:S12"]
# ## Round 1. Four interfaces
#
# **Claim: a device model emulates four interfaces: ports, registers in memory, DMA and interrupts.** The VMM intercepts an operation and passes it on. The model is an object with two verbs, `read` and `write`. It is given a way to memory and an interrupt line. Nothing in it knows a VMM.
#
# The teaching card `edu` of [lesson 04](04_pci.ipynb) has three of the four; a UART has the ports. We put both inside the VMM, and let the drivers of lessons 01 and 04 use them.

# %%
from virtlab.guest.edu import EduDriver
from virtlab.guest.pic import Pics
from virtlab.guest.uart import UartDriver
from virtlab.show.journey_steps import EDU

uart = placement.inside(guest.vm, "uart", guest.pic.line(4))
edu = placement.inside(guest.vm, "edu", guest.pic.line(10))
driver, pics = EduDriver(guest.cpu, EDU), Pics(guest.cpu)
pics.remap()
pics.unmask(10)

# %%
with board.trace.recording() as events:
    guest.cpu.out(machine.UART, ord("A"))
    driver.to_device(0x1000, 64, interrupt=True)
    pics.eoi(10)

interfaces = {"out": "ports", "store": "memory", "dma read": "DMA", "irq": "interrupt"}
show.trace_table([event for event in events if event.kind in interfaces], registers=machine.PORT_REGISTERS)

# %%
assert interfaces.keys() <= {event.kind for event in events if event.who in ("uart", "edu")}

# %% [markdown]
# The first two kinds come from the guest, by way of the VMM. The other two come from the device: it reads memory, and it drives its line. A model that only answered registers would be half a device.

# %% [markdown] tags=["topic:S14"]
# ## Round 2. The flow
#
# **Claim: a driver's life has two phases, and the VMM has a task in each.** At *initialization* the driver looks for its device, so the VMM must make discovery work. In *operation* it uses the device, so the VMM must intercept each access. Behind both is the third task: somebody must *be* the device.

# %%
serial = UartDriver.at_ports(guest.cpu)
with Meter(guest.vm) as initialization:
    model = serial.detect()
    serial.init()
with Meter(guest.vm) as operation:
    serial.write(b"hello")

print("found a", model, "|", initialization)
print("sent hello     |", operation)
assert model == "16550A"
assert uart.printed == "Ahello"
assert operation.exits == 1 + len("hello")

# %% [markdown]
# Discovery is [lesson 08](08_discovery.ipynb), interception is [lesson 09](09_interception.ipynb). Here we stay with the third task: the device itself, and where it lives.

# %% [markdown] tags=["topic:S13"]
# ## Round 3. Two homes
#
# A device model can live *inside the VMM*. A *type 1* hypervisor runs on the bare machine. One with its own device models does that; the access is a call. Or it is a *service in user space*, beside the VMM. Then the access is a message, and an answer. **Claim: the guest cannot tell, and the price differs.**

# %%
uart.close()
uart = placement.service(guest.vm, "uart", guest.pic.line(4))     # starts a process

serial = UartDriver.at_ports(guest.cpu)
serial.init()

# %% jupyter={"source_hidden": true}
show.Predict(
    "Operation took 6 exits: one read of LSR, five writes of THR. With the model in a service, how many world switches will they take?",
    answer=24,
    why="Each exit is 2 switches, and from the VMM to the service and back are 2 more: 6 × 4.",
)

# %%
with Meter(guest.vm) as remote:
    serial.write(b"hello")
print(uart.printed, "|", remote)

# %%
EXIT, SWITCH = 230, 3800                     # ns, from the table below
accesses = 1 + len("hello")
assert operation.cost == (accesses, 2 * accesses, accesses * EXIT)
assert remote.cost == (accesses, 4 * accesses, accesses * (EXIT + 2 * SWITCH))
show.cost_table({"vm_exit": accesses, "process_switch": 2 * accesses}, "Six accesses, served by a process")

# %% [markdown]
# The same driver, the same characters, and 34 times the price. These are published costs, and our virtual clock lets them pass. The processes are real, so we can also look at a real clock. Here Python does most of the work on both sides, so the ratio is smaller.

# %%
from timeit import repeat

def seconds():
    return min(repeat(lambda: guest.cpu.inp(machine.UART + 5), number=100, repeat=5))

in_a_service = seconds()
uart.close()                                 # the virtual machine's own UART is back, inside the VMM
assert in_a_service > seconds()

# %% [markdown]
# ## Round 4. Share memory, ring a bell
#
# If an access costs so much, make few. **Claim: with shared memory and a doorbell, a service costs no more switches than a model inside.**
#
# - *Memory.* The guest's RAM lies in a file without a name, which both processes map. DMA of the service goes straight there.
# - *Doorbell.* The write that starts the device needs no answer. The VMM posts it and enters the guest at once.
# - *Bell.* The interrupt comes back as an `eventfd`: no message, and nobody waits for it.

# %%
from virtlab.devices.edu import BUFFER, EduRegisters

edu.close()
DOORBELL = (0, EduRegisters.DMA_COMMAND.offset)
edu = placement.service(guest.vm, "edu", guest.pic.line(10), posted=[DOORBELL])
for register, value in ((EduRegisters.DMA_SOURCE, 0x10000), (EduRegisters.DMA_DESTINATION, BUFFER), (EduRegisters.DMA_COUNT, 4096)):
    driver.put(register, value)

# %% jupyter={"source_hidden": true}
show.Predict(
    "The driver writes DMA_COMMAND, and 4 KiB move. How many world switches, from that write to the next instruction of the guest?",
    answer=2,
    why="One exit. The message to the service is posted, so the VMM enters the guest without waiting.",
)

# %%
with board.trace.recording() as events:
    with Meter(guest.vm) as doorbell:
        driver.put(EduRegisters.DMA_COMMAND, 0b101)   # start, and interrupt at the end
    irq = pics.next_irq()

pics.eoi(irq)
show.trace_table(events, registers={EDU: [EduRegisters.DMA_COMMAND]})

# %%
assert doorbell.cost == (1, 2, EXIT)
assert irq == 10
assert [event.size for event in events if event.kind == "dma read"] == [4096]
edu.close()

# %% [markdown]
# The data path and the control path are apart now. Bytes cross no world at all, and control crosses as seldom as it can. This is the plan of virtio, in lessons 12 to 17: a device whose whole interface is shared memory and two bells.
#
# ## Play
#
# Choose a request and a home for the device model. Go through it step by step, and watch the counters. For which request does a service hurt most? For which do doorbells help, and for which can they not?

# %%
show.Journey()

# %% [markdown]
# ## Break it
#
# A process can die. What a crash inside the VMM would take with it, a crash of a service must not. We serve a disk, write a sector, and kill the service as the system would: `kill -9`.

# %%
from virtlab.guest.ata import PRIMARY, AtaDriver

ata = placement.service(guest.vm, "ata", guest.pic.line(PRIMARY.irq), disk=bytes(64 * 512))
disk = AtaDriver(guest.cpu)
disk.listen(pics)                            # sleep until the disk interrupts
disk.write(1, b"acknowledged".ljust(512))
ata.kill()

# %% jupyter={"source_hidden": true}
show.Predict(
    "The guest writes sector 2 to a disk whose process is gone. What does the guest see?",
    answer="the disk interrupts and says: device fault",
    options=["an exception in the VMM", "a write that never ends", "the disk interrupts and says: device fault"],
    why="The VMM answers in the device's place: STATUS has DF and ERR, ERROR has ABRT. A guest that sleeps is woken to read it.",
)

# %% tags=["raises-exception"]
with board.trace.recording() as events:
    disk.write(2, b"lost".ljust(512))

# %%
print(next(event for event in events if event.kind == "device failed"))

# %% [markdown]
# The driver got an error, as from a disk that broke. The virtual machine still runs. Status 0x61 is DRDY, DF and ERR (ATA-6, Status register). A device without a status of its own, such as the UART, reads all ones: a card that was pulled out.
#
# Now a new process takes over. **Claim: what the disk had acknowledged is there.** A write was acknowledged when its bytes were in the file's own pages. These belong to the host's kernel, not to the process, and outlive it.

# %%
ata.restart()
disk.write(2, b"once more".ljust(512))
assert disk.read(1).startswith(b"acknowledged")
assert disk.read(2).startswith(b"once more")
ata.close()

# %% [markdown]
# What was under way is reported as failed, once, and is never lost in silence. A power failure of the *host* is another matter: for that the guest needs FLUSH CACHE, and the file needs `msync`.

# %% [markdown] tags=["topic:S48"]
# ## Round 5. The one device that should stay
#
# For each interrupt the guest's handler masks, ends and unmasks at the interrupt controller, and the VMM asks it for the vector. **Claim: the home of the interrupt controller matters more than that of the device.** ARMvisor, a VMM for ARM, taught this lesson (Ding and others, Linux Symposium 2012). KVM has the same choice and calls it the *in-kernel irqchip*.
#
# One key at a UART that is served. Five exits: `HLT` (the guest sleeps), mask, end of interrupt (EOI), the character, unmask.

# %%
from virtlab.vmm import irqchip

steps = irqchip.measured(guest.vm, "VMM", irqchip.UART_SERVED)
print("controller in the VMM:", irqchip.total(steps))
show.Table("One interrupt, step by step", ("step", "cost"), tuple((name, str(cost)) for name, cost in steps.items()))

# %% jupyter={"source_hidden": true}
show.Predict(
    "Now the controller moves into the service too. How many world switches for the same interrupt, after 12?",
    answer=20,
    why="Four steps ask the controller: the vector, mask, EOI, unmask. Each takes 2 more: 12 + 4 × 2.",
)

# %%
served = irqchip.measured(guest.vm, "service", irqchip.UART_SERVED)
apart = irqchip.measured(guest.vm, "service", irqchip.UART)
names = ("only the UART served", "UART and controller served", "only the controller served")
show.bars("One interrupt", {name: irqchip.total(each).switches for name, each in zip(names, (steps, served, apart), strict=True)}, "world switches")

# %%
assert steps == irqchip.predicted("VMM", irqchip.UART_SERVED, EXIT)
assert served == irqchip.predicted("service", irqchip.UART_SERVED, EXIT)
assert apart == irqchip.predicted("service", irqchip.UART, EXIT)
assert [irqchip.total(each).switches for each in (steps, served, apart)] == [12, 20, 22]

# %% [markdown]
# The last bar is the surprise. The UART is inside the VMM, and still the interrupt costs more than any: the VMM must now carry each change of the UART's line *into* the service. So a controller far away makes every device slow, also the near ones.
#
# ## Measure it
#
# The closed forms. Let *s* be 1 if the device is served, *c* if the controller is.
#
# | what | exits | world switches | virtual time, ns |
# |---|---|---|---|
# | one access | 1 | 2 + 2*s* | 230 + 7,600*s* |
# | the same, posted | 1 | 2 | 230 |
# | one interrupt of a UART | 5 | 10 + 2*s* + 8*c* + 4 if *c* and not *s* | 230 an exit, 3,800 a switch beyond |
#
# A sector by programmed I/O is 264 accesses. Inside the VMM they take 61 µs of switching, in a service 2.07 ms.

# %%
sector = {home: run(Plan("sector", home)).cost for home in ("VMM", "service")}
assert sector["VMM"] == (264, 528, 264 * EXIT)
assert sector["service"] == (264, 1056, 264 * (EXIT + 2 * SWITCH))
show.bars("A sector, word by word", {home: cost.switches for home, cost in sector.items()}, "world switches")

# %% [markdown]
# Hardware's figures lie in this range. On a Xeon, KVM needs 1,300 cycles for an exit and entry with nothing in between. An access to the interrupt controller in its kernel takes 2,384 (Dall and others, ISCA 2016, table 2). Newer controllers take the guest's EOI with no exit at all.
#
# ## How real systems do it
#
# Xen and Hyper-V keep little more than interrupt controllers and timers in the hypervisor; a process in a privileged virtual machine has the other models. With KVM the VMM is in two parts. The kernel takes the exits, and a process, QEMU, has the device models. So an access costs a switch to user mode, but not to another process: the price is between our two. QEMU can also move a device into a process of its own (`x-remote`, vhost-user), and then it does what this lesson did: sockets, shared memory, `eventfd`. KVM's doorbell is `KVM_IOEVENTFD`, its bell `KVM_IRQFD`; both are heard in the kernel, so that QEMU's main thread may sleep. `KVM_CREATE_IRQCHIP` puts the interrupt controllers into the kernel. `KVM_CAP_SPLIT_IRQCHIP` keeps only the local APIC there, which is asked at every interrupt, and leaves the rest outside, where a bug does less harm. vhost-user notes the requests that were not answered in shared memory, so that a restarted process can finish them ([lesson 22](22_real_linux.ipynb)); ours reports them as failed. Our service runs one request at a time, and its processor is always free when it is rung.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "Which of these can a VMM post without waiting for the service?",
        ("The write that starts a device", "It has no result. What comes of it is told later, by an interrupt."),
        ("A read of a status register", "The guest's instruction needs the value before it can end."),
        ("Every write, for a write has no result", "Only where nothing overtakes it. A write that lowers an interrupt line must have done so before the guest enables interrupts again."),
        place=1,
    ),
    show.question(
        "What do you get for the price of a device in its own process?",
        ("A bug or an attack in the device model ends there: the VMM and its other guests go on", "Most of the holes found in VMMs are in device models. A process can be sandboxed, killed and restarted."),
        ("Faster DMA: another process moves data while the VMM handles exits", "Its DMA is as fast as from inside: the memory is the same."),
        ("Fewer exits: the process answers the guest without the VMM", "The exits are the same. What is added are switches behind them."),
    ),
    show.question(
        "A guest sleeps for its disk, and the disk's service dies. Why must the VMM raise the disk's interrupt?",
        ("The guest would sleep on: nobody else will wake it", "A driver that sleeps looks at STATUS only after an interrupt."),
        ("To let the guest restart the service", "The guest does not know that there is a service."),
        ("Because the data may have reached the disk before that", "Perhaps it has. STATUS says what is known of it, once the guest looks."),
        place=2,
    ),
    show.question(
        "The device models are in a service, and you may move one of them into the kernel. Which one?",
        ("The interrupt controller", "Every device's interrupt asks it four or five times."),
        ("The disk, which moves the most bytes", "With DMA it is asked a few times a command. Its doorbell can be posted."),
        ("The UART", "It is slow in itself, and rarely asked."),
        place=1,
    ),
])

# %% [markdown]
# ## Take away
#
# A device model emulates ports, memory, DMA and interrupts, and can live inside the VMM or in a process: 2 world switches an access, or 4. Shared memory and bells make a service nearly as cheap, because little is left to ask. The interrupt controller is asked by everybody's interrupts, so it lives where the exits arrive.
#
# **New terms**: [bell](../docs/glossary.md#bell-eventfd), [device service](../docs/glossary.md#device-service), [doorbell](../docs/glossary.md#doorbell), [EOI](../docs/glossary.md#eoi), [in-kernel irqchip](../docs/glossary.md#in-kernel-irqchip), [posted](../docs/glossary.md#posted-doorbell), [world switch](../docs/glossary.md#world-switch).
#
# **Read the code**, in this order: [virtlab/vmm/placement.py](../virtlab/vmm/placement.py) (two homes, one function), [virtlab/vmm/service/server.py](../virtlab/vmm/service/server.py) (a device's process in a page), [virtlab/vmm/service/remote.py](../virtlab/vmm/service/remote.py) (what the guest sees when nobody answers).
#
# **Exercise**: problem set 3, [task 2, *a model in another process*](../exercises/ps03/ps03.ipynb#2.-A-model-in-another-process).
#
# **Next**: [lesson 08, discovery](08_discovery.ipynb). How does a guest find a device that was never there?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("07")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the last bar of round 5: the device moved *into* the VMM, and the interrupt became dearer. Ask for the order of the three bars before you run it. Killing the disk is the other moment: let somebody in the room run `ata.kill()` while you talk about something else, and go on writing. Ten minutes less: leave out round 2, which lessons 08 and 09 repeat in depth. Question for the room: if a service is so much safer, why is the in-kernel controller in the kernel at all, and what does KVM's split irqchip say about the answer?
#
# </details>
