"""Services of all other rooms, which know nothing of pictures: files, locks, memory, processes, progress, text."""
