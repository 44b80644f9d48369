# The same commands as `python3 run.py`, for whoever types make: `make test ARGS="-k retry"`.
PYTHON ?= python3

COMMANDS = demo test lint format types layout docs wheel check setup lock
.PHONY: help $(COMMANDS)

help:
	@$(PYTHON) run.py --help

$(COMMANDS):
	@$(PYTHON) run.py $@ $(ARGS)
