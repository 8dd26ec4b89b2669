"""The operating system behind four doors: files, tools, cores, memory."""
