"""``python -m sss_ops`` is ``sss``, for places that have no console script, such as torchrun."""

from sss_ops.cli import main

main()
