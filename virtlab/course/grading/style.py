"""How the pages look: on a projector, a telephone and paper, in light and in dark.

    html.big          for a projector: larger letters
    table.wide        on a telephone, or at 200 %, each row is a list, each cell with its header
    @media print      black on white, nothing folded away

The rules that keep it readable: the colours are the palette's; each pair in `PAIRS` has a contrast
of at least 4.5 to 1. Colour is never the only cue. Sizes are relative, so a page can be read at
400 %. A page never scrolls sideways.
"""

from __future__ import annotations

from virtlab.show.palette import (
    BLUE,
    FAINT,
    INK,
    MONO,
    MUTED,
    PAPER,
    PHOSPHOR,
    SANS,
    SCREEN,
    SKY,
    WHITE,
)

LIGHT = {"ink": INK, "muted": MUTED, "paper": PAPER, "panel": WHITE, "line": MUTED, "link": BLUE}
DARK = {"ink": PHOSPHOR, "muted": FAINT, "paper": SCREEN, "panel": INK, "line": FAINT, "link": SKY}

PAIRS = tuple(
    (theme[text], theme[ground])
    for theme in (LIGHT, DARK)
    for text in ("ink", "muted", "line", "link")
    for ground in ("paper", "panel")
)
"""`(text, background)`: what stands on what, in both themes."""


def _variables(theme: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in theme.items())


STYLE = f"""
:root {{ color-scheme: light dark; {_variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}
@media print {{ :root {{ {_variables(LIGHT)} }} body {{ max-width: none; padding: 0; }} }}
* {{ box-sizing: border-box; }}
html {{ font: 112.5%/1.5 {SANS}; color: var(--ink); background: var(--paper); }}
body {{ max-width: 62rem; margin: 0 auto; padding: 1rem clamp(.75rem, 3vw, 2rem) 3rem; }}
html.big {{ font-size: 137.5%; }}
html.big body {{ max-width: 72rem; }}
h1 {{ font-size: 1.7rem; line-height: 1.2; }}
h2 {{ font-size: 1.3rem; line-height: 1.25; margin-top: 2.5rem; }}
h3 {{ font-size: 1.05rem; margin: 1.5rem 0 .25rem; }}
h1, h2, h3, h4, p, li, td, th, dd {{ overflow-wrap: break-word; }}
a {{ color: var(--link); }}
:focus-visible {{ outline: 3px solid var(--link); outline-offset: 2px; }}
section.task {{ background: var(--panel); border: 1px solid var(--line); border-radius: .5rem;
  padding: 0 clamp(.75rem, 2.5vw, 1.5rem) 1rem; margin: 1.5rem 0; }}
section.task > h2 {{ margin-top: 1rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: .5rem 0; }}
caption {{ text-align: left; color: var(--muted); padding-bottom: .25rem; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0;
  border-bottom: 1px solid var(--line); font-weight: normal; }}
thead th {{ font-weight: 600; }}
tbody th {{ min-width: 7rem; }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
td.n {{ white-space: nowrap; }}
dl {{ display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .25rem 1rem;
  margin: .5rem 0; }}
dt {{ color: var(--muted); }}
dd {{ margin: 0; min-width: 0; }}
summary {{ cursor: pointer; padding: .25rem 0; }}
code, pre {{ font: .92em/1.45 {MONO}; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }}
strong {{ font-weight: 650; }}
.muted {{ color: var(--muted); }}
svg.bar {{ vertical-align: middle; }}
svg .track {{ fill: none; stroke: var(--line); }}
svg .value {{ fill: var(--link); }}
svg text {{ fill: var(--ink); font-family: {SANS}; }}
@media screen and (max-width: 48rem) {{
  html, html.big {{ font-size: 100%; }} svg.bar {{ width: 4rem; }}
  th, td {{ padding-right: .5rem; }} tbody th {{ min-width: 4.5rem; }}
  table.wide, .wide caption, .wide tbody, .wide tr, .wide tbody th, .wide td {{ display: block; }}
  .wide thead {{ display: none; }} .wide tr {{ border-bottom: 1px solid var(--line); }}
  .wide tbody th, .wide td {{ border: 0; text-align: left; padding: .1rem 0; }}
  .wide tbody th {{ font-weight: 600; padding-top: .4rem; }}
  .wide td:empty {{ display: none; }}
  .wide td::before {{ content: attr(data-label) ": "; color: var(--muted); }}
  dl {{ grid-template-columns: 1fr; gap: 0; }} dd {{ margin-bottom: .5rem; }}
}}
@media print {{
  html, html.big {{ font-size: 81.25%; }} html.big body {{ max-width: none; }}
  section.task {{ border: 0; padding: 0; }} h2, h3 {{ break-after: avoid; }}
  dl, tr {{ break-inside: avoid; }} .scroll {{ overflow: visible; }}
  details::details-content {{ content-visibility: visible; block-size: auto; }}
}}
"""
