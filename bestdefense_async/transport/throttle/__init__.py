"""Who waits before a call is sent: limits and pauses, within this process and beside others."""
