"""What a model is worth: loss by slice, multiple choice, exact match, bias probes."""
