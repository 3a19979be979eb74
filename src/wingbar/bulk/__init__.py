"""Prediction of many pictures: the answers are written to numbered files, and a stopped job resumes."""
