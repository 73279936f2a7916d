"""The course around the library: the ``virtlab`` command, checks, hints and grading."""
