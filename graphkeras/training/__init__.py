"""Training, evaluating and predicting: what `Model` gets from `Trainer`."""
