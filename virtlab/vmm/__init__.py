"""The heart of a virtual machine monitor: what exits, where it goes, and how the guest goes on.

Read `io_bitmap` and `exits` first, then `ept` and `shadow`, which share the walk in `tables`, then
`vcpu` and `vmm`. `virtual_machine` wires them into one virtual machine on a host. `processor` is
the same loop for guests of real machine code.
"""
