"""Layouts of public and private data sets, one file each."""
