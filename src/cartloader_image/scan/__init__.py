"""What lies in the folder of a run, as a mapping that imports it: a module for each instrument, and what they share."""
