"""Microscope and histology images as PMTiles raster layers that lie exactly under spatial-omics data."""

ALGORITHM = 2
"""Goes up when the same input and options make other files within one version: earlier results then do not count."""
__version__ = "0.1.0"
