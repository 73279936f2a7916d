"""The project's own tools, run from the Makefile."""
