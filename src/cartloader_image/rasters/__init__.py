"""8-bit pixels on disk."""
