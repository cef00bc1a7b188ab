"""Training: views, losses, methods, the loop, and going on after an interruption."""
