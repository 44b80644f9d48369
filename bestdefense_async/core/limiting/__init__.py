"""When may the next call leave? Limits, how they are kept, and what servers say about them."""
