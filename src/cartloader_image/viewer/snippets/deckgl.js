// npm install @deck.gl/core @deck.gl/layers @deck.gl/geo-layers pmtiles
// <div id="map" style="position: relative; height: 100vh"></div>
import { Deck, WebMercatorViewport } from "@deck.gl/core";
import { TileLayer } from "@deck.gl/geo-layers";
import { BitmapLayer } from "@deck.gl/layers";
import { PMTiles } from "pmtiles";

// The first is on top. bounds are degrees of EPSG:3857, whose metres are µm. deck.gl shows no attribution by itself.
const layers = LAYERS;

const parent = document.getElementById("map");
const { longitude, latitude, zoom } = new WebMercatorViewport({
  width: parent.clientWidth,
  height: parent.clientHeight,
}).fitBounds(BOUNDS, { padding: 20, maxZoom: 24 });
const deck = new Deck({
  parent,
  controller: true,
  initialViewState: { longitude, latitude, zoom, maxZoom: 24 },
  layers: layers.toReversed().map(({ id, url, tileSize, minzoom, maxzoom, bounds }) => {
    const archive = new PMTiles(url);
    return new TileLayer({
      id,
      tileSize,
      minZoom: minzoom,
      maxZoom: maxzoom,
      extent: bounds,
      getTileData: async ({ index: { x, y, z }, signal }) => {
        const tile = await archive.getZxy(z, x, y, signal);
        return tile ? createImageBitmap(new Blob([tile.data])) : null;
      },
      renderSubLayers: ({ data, tile, ...props }) => {
        const { west, south, east, north } = tile.bbox;
        return data && new BitmapLayer(props, { data: null, image: data, bounds: [west, south, east, north] });
      },
    });
  }),
});
