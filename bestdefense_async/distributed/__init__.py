"""The same runs on several machines: a store in PostgreSQL, and workers on an existing engine.

Needs the extra `distributed`. The truth stands in our own tables, the delivery is procrastinate's:
a job only wakes a worker, which then takes a shard by our fence, or goes away.
"""
