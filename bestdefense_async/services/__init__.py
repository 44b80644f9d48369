"""For programs that live long: the scans of a service, and a client for programs without a loop."""
