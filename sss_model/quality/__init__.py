"""How good a mask probably is, told without ground truth."""
