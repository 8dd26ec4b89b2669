"""From a placed picture to a pyramid of web-map tiles in one PMTiles archive."""
