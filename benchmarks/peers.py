"""Peers that are called from Python, in an environment of their own: ``pip install gdal-wheel pyvips pyvips-binary``.

``peers.py gdal GEOTIFF TILES FIRST_ZOOM LAST_ZOOM`` or ``peers.py vips PNG TILES SCALE``; tiles become files in
directories.
"""

import sys


def raster_tile(source: str, tiles: str, first: str, last: str) -> None:
    """``gdal raster tile`` of GDAL 3.13, with its defaults for PNG."""
    from osgeo import gdal  # noqa: PLC0415  (another environment's)

    gdal.UseExceptions()
    gdal.Run(
        "raster", "tile", input=source, output=tiles, tiling_scheme="WebMercatorQuad", tile_size=512,
        min_zoom=int(first), max_zoom=int(last), resampling="cubic", overview_resampling="average", webviewer=["none"],
    )  # fmt: skip


def resize_and_save(source: str, tiles: str, scale: str) -> None:
    """``resize`` and ``dzsave`` of libvips, as one pipeline, with its defaults for PNG."""
    import pyvips  # noqa: PLC0415  (another environment's)

    picture = pyvips.Image.new_from_file(source, access="sequential").resize(float(scale), kernel="cubic")
    picture.dzsave(tiles, layout="google", tile_size=512, overlap=0, suffix=".png")


if __name__ == "__main__":
    {"gdal": raster_tile, "vips": resize_and_save}[sys.argv[1]](*sys.argv[2:])
