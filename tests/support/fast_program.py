"""Run a program whose clients poll as fast as the sandbox's scans go: `python fast_program.py ...`.

Takes what `python` takes: the path of a program, or `-m` and a module, and its arguments.
"""

import os
import runpy
import sys

import bestdefense_async.client
from bestdefense_async import PollPolicy

vars(bestdefense_async.client)["DEFAULT_POLICY"] = PollPolicy(speed=float(os.environ["POLL_SPEED"]))

if __name__ == "__main__":
    if sys.argv[1] == "-m":
        sys.argv[:] = sys.argv[2:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = sys.argv[1:]
        sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))  # noqa: PTH100, PTH120 - as python does
        runpy.run_path(sys.argv[0], run_name="__main__")
