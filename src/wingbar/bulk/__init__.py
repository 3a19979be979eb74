"""Predicting many pictures: answers in chunks of files, resumable, each written once."""
