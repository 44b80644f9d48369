"""Locks between processes, which end with the process that holds them."""

from __future__ import annotations

import sys

if sys.platform == "win32":

    def try_lock(descriptor: int) -> bool:  # noqa: ARG001  # the other system's signature
        """Return True: processes are not kept apart on this system."""
        return True

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Return whether the open file or directory is ours, until it is closed; never waits.

        Raises:
            OSError: The file system has no locks.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
