"""The pure part: values in, values out. No asyncio, no clock, no chance, no HTTP library."""
