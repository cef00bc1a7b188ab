"""Versions of the scans: adding one, listing them, and what differs between two."""
