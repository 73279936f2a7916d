"""vhost-user: a virtio device in a process of its own, beside the machine that has it.

    front-end (QEMU, our hosts.vhost_user)              back-end (here)
    registers, status, features      -- UNIX socket --> `BackEnd`: one session
    RAM, a file that both map        <----------------> `SharedMemory`: one array
    doorbells and interrupts         <-- eventfds ----> `Vring`: kick, call, err

Read in this order: `layouts` (what the bytes are), `messages`, `stream` and `channel` (one
message), `mapping` and `shared_memory` (the guest's RAM), `served` (queues that tell what they do),
`portions` (how many at once), `inflight` and `noted_list` (what survives a crash), `vring` (one
ring), `back_end` (the session), `loop`.

Source: QEMU's docs/interop/vhost-user.rst. Linux only: descriptors travel by SCM_RIGHTS, memory is
mapped at fixed places, and events are eventfds.
"""
