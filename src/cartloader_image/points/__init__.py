"""Tables of points in µm, such as transcripts: which columns hold what, and how they are read."""
