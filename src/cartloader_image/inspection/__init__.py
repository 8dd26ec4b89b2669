"""What a file holds: a picture and what its import would do, an archive, or a catalog; no pixel of it is decoded."""
