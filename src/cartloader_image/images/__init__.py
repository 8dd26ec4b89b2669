"""Images as people bring them, opened as planes that are read window by window."""
