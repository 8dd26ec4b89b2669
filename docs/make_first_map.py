"""Draw the pictures of ``docs/first-map.md``: its own commands run as printed, and these layers are what they leave.

Run it as ``python docs/make_first_map.py``, in the environment where cartloader is installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PAGE = Path(__file__).with_name("first-map.md")
SIDE = 400
"""Pixels of a picture on the page."""
CORNER = 330, 480
"""Where the detail of both layers begins."""


def make() -> None:
    """Run the commands; keep the first layer, and a detail of both, one over the other."""
    commands = re.findall(r"<!-- test -->\n```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["bash", "-euc", "\n".join(commands)], cwd=folder, env=os.environ | {"PATH": path}, check=True)
        nuclei, membranes = (Image.open(Path(folder, name)).convert("RGBA") for name in ("dapi.png", "membrane.png"))
    whole = nuclei.resize((SIDE, SIDE), Image.Resampling.BOX)
    both = Image.alpha_composite(nuclei, membranes).crop((*CORNER, CORNER[0] + SIDE, CORNER[1] + SIDE))
    for name, picture in {"first-map": whole, "first-map-both": both}.items():
        made = PAGE.with_name(f"{name}.png")
        picture.convert("RGB").quantize(48).save(made, optimize=True)
        print(made)


if __name__ == "__main__":
    make()
