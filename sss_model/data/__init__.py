"""Data sets: import, canonical layout, splits, manifest, preprocessing."""
