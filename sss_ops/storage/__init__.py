"""Downloads, object stores, pretrained checkpoints, and the state of unfinished trainings."""
