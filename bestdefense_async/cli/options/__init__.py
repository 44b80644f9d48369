"""What a command can be given: by option, by environment, by file."""
