"""One HTTP exchange: everything that is aiohttp's stays in here."""
