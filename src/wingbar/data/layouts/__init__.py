"""One reader for each layout of a data set: each has ``recognised(root)`` and ``read(root)``."""
