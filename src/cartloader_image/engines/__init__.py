"""Ways to make tiles of a placed GeoTIFF."""
