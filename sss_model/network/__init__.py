"""The network's rooms: SAM-2's encoder, the feature decoder, and the segmenter that joins them."""

from sss_model.network.segmenter import Segmenter, build_segmenter

__all__ = ["Segmenter", "build_segmenter"]
