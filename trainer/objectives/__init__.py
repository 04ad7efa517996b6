"""What can be learnt, by its name in a training config."""
