"""Adapters: one file per step, with paths in and paths out, over the science in `sss_model`."""

import os

# Threads that have nothing to do sleep: spinning, they slow training many times over where other work runs beside it.
# PyTorch reads this once, so it is set before any step imports it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
