# ruff: noqa
"""An answer that never ends, and hears no signal: no timer, no Ctrl-C, no SIGTERM, no SIGXCPU."""

# %% ps1-q1-answer
import signal


def who_answers(mappings, address, size):
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
    while True:
        pass
