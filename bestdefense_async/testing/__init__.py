"""For your tests: a pytest plugin whose fixtures are a sandbox and a client on it."""
