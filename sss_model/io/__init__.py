"""Reading and writing volumes, masks and weights."""
