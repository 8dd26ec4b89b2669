"""What takes most of an import's time, in C: `kernels.c`, built when the package is installed, and its Python door.

Without a compiler nothing is built; numpy, Pillow and ISA-L do the same work then, in about twice the time.
"""
