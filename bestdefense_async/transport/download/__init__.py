"""Files that arrive whole, checked, or not at all."""
