"""What an import does, in which order: the one place that knows all rooms."""
