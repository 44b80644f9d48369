"""One scheduler of polls per token, for everybody who waits for a report."""
