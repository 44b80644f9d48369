"""The server: from a socket to a handler and back."""
