"""MLOps around `sss_model`: steps, command line, data versions, data checks, tracking, registry, serving, cluster."""

import os

# A thread that has nothing to do spins for some microseconds, then sleeps. Without the spin, every small kernel wakes
# threads anew, and a step takes about twice as long; with libgomp's own long spin, threads that wait for each
# other starve where other work runs beside them. PyTorch reads this once, so it is set before any step imports it.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
