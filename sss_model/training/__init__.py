"""Training: batches and views, losses, methods, the loop, resuming and fine-tuning."""
