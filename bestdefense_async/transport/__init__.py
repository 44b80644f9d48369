"""The only place that knows aiohttp and time."""
