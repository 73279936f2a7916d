"""What a guest kernel does: drivers, each written against `virtlab.cpu.Cpu` and nothing else.

The same driver runs on the bare machine, inside a virtual machine, and on QEMU.
"""
