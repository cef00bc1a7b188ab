"""Adapters: one file per step, with paths in and paths out, over the science in `sss_model`."""
