"""What a viewer finds an image by: the catalog and the asset JSON."""
