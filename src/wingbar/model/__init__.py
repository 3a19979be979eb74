"""A trained model: its card, its files, the runtimes that run it, its export."""
