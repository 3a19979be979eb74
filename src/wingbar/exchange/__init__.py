"""Answers for other programs: kept answers become tables, boxes, observations or tasks. Nothing is predicted anew."""
