"""A Jupyter server for tests of `virtlab lab` in this process: who waits for it meets Ctrl-C."""


class EndedServer:
    """Looks like a process that has ended well."""

    returncode = None

    def wait(self, timeout=None):
        """Ctrl-C."""
        raise KeyboardInterrupt

    def poll(self):
        """Its status."""
        return 0
