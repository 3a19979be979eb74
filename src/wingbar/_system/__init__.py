"""What lies under everything and knows nothing of pictures: files, locks, memory, processes, text."""
