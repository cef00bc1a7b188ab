"""The data checks: rules for a data set, judged by Great Expectations before anything is trained on it.

Importing a module of this package imports Great Expectations, which takes seconds and reads from the environment, at
that moment, whether it may send usage data.
"""

import os

os.environ["GX_ANALYTICS_ENABLED"] = "false"
