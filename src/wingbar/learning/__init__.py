"""Learning: one training loop for every net, its recipes and its views of pictures."""
