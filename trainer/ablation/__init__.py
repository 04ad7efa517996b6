"""Comparing corpora by the models that they make: what to run, the runs, and what they are measured on."""
