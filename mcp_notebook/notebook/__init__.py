"""What a notebook has: its state, the call path, the asker, questions, the Python API."""
