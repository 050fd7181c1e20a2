"""The sentences of the features, by noun."""
