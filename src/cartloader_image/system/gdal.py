"""What GDAL may do on our behalf: open the file that it is given, and ask nobody on the network.

A picture may name other files, in itself or in a file beside it: GDAL would open them, wherever they are.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

OFFLINE = {
    # The one address that all of GDAL's file systems on the network may open; there is none of this name.
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    # For whatever asks by HTTP all the same: a machine that refuses at once.
    "GDAL_HTTP_PROXY": "http://127.0.0.1:9",
    "GDAL_HTTP_MAX_RETRY": "0",
    "PROJ_NETWORK": "OFF",
}
"""Settings of GDAL and PROJ, here and in the tools."""

CACHE = 64 << 20
"""Bytes of decoded blocks that GDAL keeps here; by itself it takes a twentieth of all memory."""


def environment(**options: object) -> AbstractContextManager[Any]:
    """The settings of GDAL in which rasterio works here: off the network, with a small cache, and with further ones."""
    import rasterio  # noqa: PLC0415  (0.3 s that few runs need)

    env: AbstractContextManager[Any] = rasterio.Env(**OFFLINE, GDAL_CACHEMAX=CACHE, **options)
    return env
