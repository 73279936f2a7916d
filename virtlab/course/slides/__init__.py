"""Slides: a lesson's notebook becomes one HTML file that needs no network and no server.

    notebook ──lesson──▶ parts ──blocks──▶ blocks ──pack──▶ slides ──page──▶ one file
        └──────first───▶ what each widget shows first ─┘

The idea: a slide is a heading and what fits below it on 1280 x 720. Claims, code, outputs and
questions stay; prose becomes the speaker's notes, and so does the instructor's cell.

The rule that keeps it simple: each block knows its height beforehand, so slides are filled by
addition, and the same notebook gives the same bytes. A test in a browser shows that all fits.

Read in this order: `lesson` (cells to parts), `first` (widgets, by running the lesson), `blocks`
and `outputs` (what is shown of a part, by the numbers of `sizes`), `pack` (how slides are filled),
`page` (the file). Left out: live widgets. A slide shows the first picture, and says that the live
one is in the notebook.
"""
