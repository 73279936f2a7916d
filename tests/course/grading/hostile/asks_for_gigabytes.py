# ruff: noqa
"""Asks a machine for more than there is: sizes and addresses of any number, and of no number."""

# %% ps1-q2-answer
ODD = (1 << 30, 1 << 64, -1, 1 << 4000, 0.5, None, "1", [0], float("nan"))


def put(cpu, text):
    for odd in ODD:
        for verb in (cpu.inp, cpu.out, cpu.load, cpu.store, cpu.read, cpu.write, cpu.wait):
            for arguments in ((odd,), (0xB8000, odd), (0xB8000, 1, odd)):
                try:
                    verb(*arguments)
                except Exception:
                    pass
    for _ in range(10):
        cpu.read(0, 16 << 20)
    cpu.read(0, 1 << 40)
