// npm install leaflet@1 pmtiles
// <div id="map" style="height: 100vh"></div>
import * as L from "leaflet";
import "leaflet/dist/leaflet.css";
import { PMTiles, leafletRasterLayer } from "pmtiles";

// The first is on top. bounds are degrees of EPSG:3857; a metre of the map, as the scale bar has it, is 1 µm.
const layers = LAYERS;

// Leaflet counts zooms by tiles of 256 pixels: a larger tile has a smaller zoom than the map.
class Zoomed extends PMTiles {
  constructor(url, ahead) {
    super(url);
    this.ahead = ahead;
  }
  getZxy(z, x, y, signal) {
    return super.getZxy(z - this.ahead, x, y, signal);
  }
}

window.L = L; // where leafletRasterLayer looks for it
const map = L.map("map", { maxZoom: 25 });
for (const { url, tileSize, minzoom, maxzoom, bounds: [west, south, east, north], attribution } of layers.toReversed()) {
  const ahead = Math.log2(tileSize / 256);
  leafletRasterLayer(new Zoomed(url, ahead), {
    tileSize,
    minNativeZoom: minzoom + ahead,
    maxNativeZoom: maxzoom + ahead,
    maxZoom: 25,
    bounds: [[south, west], [north, east]],
    attribution,
  }).addTo(map);
}
const [[west, south], [east, north]] = BOUNDS;
map.fitBounds([[south, west], [north, east]]);
L.control.scale({ imperial: false }).addTo(map);
