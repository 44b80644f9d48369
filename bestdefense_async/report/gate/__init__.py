"""May this run pass? The rules, what they make of each finding, and the verdict."""
