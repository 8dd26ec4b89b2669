"""Which program this is."""

ALGORITHM = 4
"""Goes up when the same input and options make other files within one version: earlier results then do not count."""
__version__ = "0.1.0"
