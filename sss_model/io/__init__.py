"""Reading and writing volumes, masks, tables and weights."""

FILE_ENDINGS = (".nii.gz", ".nii", ".png")
"""Of scans and masks."""
