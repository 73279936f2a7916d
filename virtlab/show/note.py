"""A sentence that depends on the reader's machine: shown, and never stored or compared.

The idea: a stored notebook must be the same on every machine. So the words go to the widget, and
the text that nbval compares is one fixed line.
"""

from __future__ import annotations

from virtlab.show.shell import Shell, said, sentence


class Note(Shell):
    """Shows `words`. Wherever it runs it prints as the same line, so that notebooks compare."""

    def __init__(self, words: str) -> None:
        line = sentence()
        line.value = said(words)
        self.words = words
        super().__init__("(what this machine says)", [line])
