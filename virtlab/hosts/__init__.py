"""Where a guest really runs: Python, real code, QEMU; and devices in other processes."""
