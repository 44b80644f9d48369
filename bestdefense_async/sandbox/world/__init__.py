"""What a sandbox knows: its organizations, their scans, and what kind of day it is."""
