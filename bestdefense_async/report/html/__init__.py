"""The HTML report: one page with tables and pictures, and nothing from outside."""
