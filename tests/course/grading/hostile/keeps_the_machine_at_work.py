# ruff: noqa
"""Small calls without end, each of them allowed, and no word of the end of a budget is heard."""


# %% ps1-q2-answer
def put(cpu, text):
    while True:
        try:
            while True:
                cpu.inp(0x3FD)
        except BaseException:
            continue
