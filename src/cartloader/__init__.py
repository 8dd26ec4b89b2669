"""Microscope and histology images as PMTiles raster layers that lie exactly under spatial-omics data."""

__version__ = "0.1.0"
