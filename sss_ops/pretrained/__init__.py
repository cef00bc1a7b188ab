"""Meta's SAM-2 checkpoints: which there are, how they get here, and whether a file is what its name says."""
