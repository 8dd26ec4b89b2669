"""Whether a picture lies under points that were measured on the same piece of tissue."""
