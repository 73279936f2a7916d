# ruff: noqa
"""Prints, raises and returns what a page would run: tags, scripts, entities, terminal codes."""

# %% ps1-q1-answer
HTML = '<script>alert("LEA" + "KED")</script><img src=x onerror=alert(1)>&lt;\x1b[2J\x1b]0;x\x07'


def who_answers(mappings, address, size):
    print(HTML, "</pre></td></table>", "\u202e")
    return HTML


# %% ps1-q2-answer
def put(cpu, text):
    raise ValueError(HTML)
