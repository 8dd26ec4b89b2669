// npm install maplibre-gl pmtiles
// <div id="map" style="height: 100vh"></div>
import { Map, ScaleControl, addProtocol } from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import { Protocol } from "pmtiles";

// The first is on top. bounds are degrees of EPSG:3857; a metre of the map, as the scale bar has it, is 1 µm.
const layers = LAYERS;

addProtocol("pmtiles", new Protocol().tile);
const map = new Map({
  container: "map",
  style: {
    version: 8,
    sources: Object.fromEntries(layers.map(({ id, url, ...rest }) => [
      id, { type: "raster", tiles: [`pmtiles://${url}/{z}/{x}/{y}`], ...rest },
    ])),
    layers: layers.toReversed().map(({ id }) => ({ id, type: "raster", source: id })),
  },
  bounds: BOUNDS,
  fitBoundsOptions: { maxZoom: 24 },
  maxZoom: 24,
  renderWorldCopies: false,
});
map.addControl(new ScaleControl());
