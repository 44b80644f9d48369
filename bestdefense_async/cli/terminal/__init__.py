"""What a person or a pipe sees: streams, signals, tables, progress."""
