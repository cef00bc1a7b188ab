"""SSS: semi-supervised SAM-2 for medical image segmentation, usable as a library."""

__version__ = "0.1.0"
