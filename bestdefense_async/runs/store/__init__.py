"""The durable record of a run: what a run that was killed is resumed from."""
