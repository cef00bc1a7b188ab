"""The data gate: what must hold of a data set, judged by Great Expectations.

Whoever imports a module of this package imports Great Expectations with it, which takes seconds, and which asks its
environment at that moment whether it may report home.
"""

import os

os.environ["GX_ANALYTICS_ENABLED"] = "false"
