"""Pseudo-labels to be corrected by a person: out to a viewer, and back as labels of the data set."""
