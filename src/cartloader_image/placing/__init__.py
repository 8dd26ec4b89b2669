"""Where a picture lies on the map: bounds, orientation, and where that knowledge comes from."""
