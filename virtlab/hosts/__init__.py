"""Where a guest really runs: Python, a machine behind a socket; later real code."""
