"""The program of a sandbox process: serves until it is told to stop or its parent is gone."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from bestdefense_async.sandbox import serve


def _follow_parent() -> None:
    """Stop when the parent closes our input, which its end does too."""
    # os.read, because a thread inside sys.stdin would break the interpreter's end.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        sys.exit(serve(**json.loads(sys.argv[1])))
    except (OSError, TypeError, ValueError) as _problem:
        sys.exit(str(_problem))
