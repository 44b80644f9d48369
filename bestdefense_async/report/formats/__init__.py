"""A run for machines, one file per format."""
