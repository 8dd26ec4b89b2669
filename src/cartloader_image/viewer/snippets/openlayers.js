// npm install ol ol-pmtiles
// <div id="map" style="height: 100vh"></div>
import Map from "ol/Map.js";
import View from "ol/View.js";
import ScaleLine from "ol/control/ScaleLine.js";
import { defaults } from "ol/control/defaults.js";
import TileLayer from "ol/layer/WebGLTile.js";
import "ol/ol.css";
import { transformExtent } from "ol/proj.js";
import { PMTilesRasterSource } from "ol-pmtiles";

// The first is on top. bounds are degrees of EPSG:3857; a metre of the map, as the scale bar has it, is 1 µm.
const layers = LAYERS;

const microns = (bounds) => transformExtent(bounds, "EPSG:4326", "EPSG:3857");
const map = new Map({
  target: "map",
  controls: defaults().extend([new ScaleLine()]),
  layers: layers.toReversed().map(({ url, tileSize, bounds, attribution }) => new TileLayer({
    extent: microns(bounds),
    source: new PMTilesRasterSource({ url, tileSize: [tileSize, tileSize], attributions: attribution }),
  })),
  view: new View({ maxZoom: 25 }),
});
map.getView().fit(microns(BOUNDS.flat()), { padding: [20, 20, 20, 20] });
