"""``python -m cartloader_image``: the command line, which stands floors above and is found as its script finds it."""

import sys
from importlib.metadata import distribution

if __name__ == "__main__":
    (command,) = distribution("cartloader-image").entry_points.select(name="cartloader-image")
    sys.exit(command.load()())
