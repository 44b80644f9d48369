"""What can be said to a command: by option, by environment, by file."""
