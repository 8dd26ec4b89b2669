/* The map page. One map unit is 1 µm: coordinates in EPSG:3857, whose metres are taken for µm.
   Whatever is said in µm comes from the centre and zoom of the view; MapLibre's own scale, which is right on a globe at
   the latitude of the place, is not asked. */
"use strict";
(() => {
  const RADIUS = 6378137, HALF = Math.PI * RADIUS;
  const MOST_MAPS = 6, FINEST = 24;
  const BLENDS = ["normal", "multiply", "screen"];
  const AIM = '<svg viewBox="0 0 16 16" width="13" height="13" aria-hidden="true"><path d="M1 5V1h4M11 1h4v4M15 11v4h-4M5 15H1v-4M5 8h6M8 5v6"/></svg>';
  const COMPRESSIONS = { 0: "an unknown program", 3: "brotli", 4: "zstd" };
  const $ = (id) => document.getElementById(id);

  // ---- a reader of PMTiles, version 3 ------------------------------------------------------------------------------

  class Archive {
    constructor(url, size) {
      this.url = url;
      this.size = size; // of its tiles, in pixels
      this.directories = new Map();
      this.opening = this.open().catch((error) => {
        throw Object.assign(error, { opening: true });
      });
    }

    async bytes(offset, length, signal) {
      const answer = await fetch(this.url, { headers: { Range: `bytes=${offset}-${offset + length - 1}` }, signal });
      if (answer.status === 200) throw new Error("the web server answers no range requests; use one that does");
      if (answer.status !== 206) throw new Error(`cannot be read (HTTP ${answer.status})`);
      const version = answer.headers.get("ETag") || answer.headers.get("Last-Modified");
      if (this.version && version !== this.version) throw new Error("has changed since the page was opened; load the page again");
      this.version = version;
      return new Uint8Array(await answer.arrayBuffer());
    }

    async part(offset, length, signal) {
      const bytes = await this.bytes(offset, length, signal);
      if (bytes.length < length) throw new Error("is cut off");
      return bytes;
    }

    async open() {
      const head = await this.bytes(0, 16384);
      const view = new DataView(head.buffer), long = (at) => Number(view.getBigUint64(at, true));
      if (head.length < 127 || String.fromCharCode(...head.subarray(0, 7)) !== "PMTiles" || head[7] !== 3)
        throw new Error("is no PMTiles archive of version 3");
      [this.leaves, this.tiles, this.packed] = [long(40), long(56), head[97]];
      if (this.packed !== 1 && this.packed !== 2)
        throw new Error(`has directories compressed by ${COMPRESSIONS[this.packed] || "no known program"}; gzip is needed`);
      const [offset, length] = [long(8), long(16)];
      const root = offset + length <= head.length ? head.subarray(offset, offset + length) : await this.part(offset, length);
      this.root = parsed(await unpacked(root, this.packed === 2));
    }

    leaf(entry) {
      if (!this.directories.has(entry.offset)) {
        const read = this.part(this.leaves + entry.offset, entry.length).then((data) => unpacked(data, this.packed === 2)).then(parsed);
        read.catch(() => this.directories.delete(entry.offset));
        this.directories.set(entry.offset, read);
        if (this.directories.size > 64) this.directories.delete(this.directories.keys().next().value);
      }
      return this.directories.get(entry.offset);
    }

    async find(id) {
      let directory = this.root;
      for (let depth = 0; depth < 5; depth++) {
        let low = 0, high = directory.length;
        while (low < high) {
          const middle = (low + high) >> 1;
          if (directory[middle].id <= id) low = middle + 1; else high = middle;
        }
        const entry = directory[low - 1];
        if (!entry) return null;
        if (entry.run) return id < entry.id + entry.run ? entry : null;
        directory = await this.leaf(entry);
      }
      throw new Error("is damaged: its leaf directories lie too deep");
    }

    async picture(entry, signal) {
      let data = await this.part(this.tiles + entry.offset, entry.length, signal);
      if (data[0] === 0x1f && data[1] === 0x8b) data = await unpacked(data, true);
      // The values as they are stored, whatever colours the screen has.
      return createImageBitmap(new Blob([data]), { colorSpaceConversion: "none" });
    }

    async tile(z, x, y, signal) { // null where there is none
      await this.opening;
      const entry = await this.find(tileId(z, x, y));
      return entry && this.picture(entry, signal);
    }
  }

  class Dots { // points, which the server draws as tiles; it may still be reading them
    constructor(url) {
      this.url = url;
      this.size = 512;
    }

    async state() {
      const answer = await fetch(`${this.url}/state`);
      if (!answer.ok) throw new Error(`cannot be read (HTTP ${answer.status})`);
      return answer.json();
    }

    async tile(z, x, y, signal, groups) {
      const answer = await fetch(`${this.url}/${z}/${x}/${y}${groups && `?groups=${groups}`}`, { signal });
      if (!answer.ok) throw new Error(`cannot be read (HTTP ${answer.status})`);
      return answer.status === 204 ? null : createImageBitmap(await answer.blob());
    }
  }

  async function unpacked(bytes, gzip) {
    if (!gzip) return bytes;
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function parsed(bytes) { // a directory: five columns of varints
    let at = 0;
    const number = () => {
      for (let value = 0, unit = 1; ; unit *= 128) {
        if (at >= bytes.length) throw new Error("is damaged: a directory is cut off");
        const byte = bytes[at++];
        value += (byte & 127) * unit;
        if (byte < 128) return value;
      }
    };
    const count = number();
    if (count > bytes.length) throw new Error("is damaged: a directory has fewer entries than it says");
    const entries = Array.from({ length: count }, () => ({ id: 0, run: 0, length: 0, offset: 0 }));
    let id = 0;
    for (const one of entries) one.id = id += number();
    for (const one of entries) one.run = number();
    for (const one of entries) one.length = number();
    entries.forEach((one, index) => {
      const value = number(), before = entries[index - 1];
      one.offset = value || !before ? value - 1 : before.offset + before.length;
    });
    return entries;
  }

  function tileId(z, x, y) { // all tiles of coarser zooms, then the place along the Hilbert curve
    let id = (4 ** z - 1) / 3;
    for (let side = 2 ** (z - 1); side >= 1; side /= 2) {
      const right = x & side ? 1 : 0, low = y & side ? 1 : 0;
      id += side * side * ((3 * right) ^ low);
      x &= side - 1;
      y &= side - 1;
      if (!low) {
        if (right) [x, y] = [side - 1 - x, side - 1 - y];
        [x, y] = [y, x];
      }
    }
    return id;
  }

  // ---- places ------------------------------------------------------------------------------------------------------

  const toDegrees = (x, y) => [(x / HALF) * 180, (Math.atan(Math.sinh(y / RADIUS)) * 180) / Math.PI];
  const fromDegrees = (lon, lat) => [(lon / 180) * HALF, RADIUS * Math.asinh(Math.tan((lat * Math.PI) / 180))];
  const unit = (zoom) => (2 * HALF) / (512 * 2 ** zoom); // µm per CSS pixel
  const zoomOf = (size) => Math.log2((2 * HALF) / (512 * size));

  function seen() { // the view: its centre, µm per pixel, size in pixels
    const { lng, lat } = control.getCenter(), [x, y] = fromDegrees(lng, lat);
    return { x, y, size: unit(control.getZoom()), width: stage.clientWidth, height: stage.clientHeight };
  }
  const toPixels = (now, x, y) => [(x - now.x) / now.size + now.width / 2, (now.y - y) / now.size + now.height / 2];
  const toMicrons = (now, px, py) => [now.x + (px - now.width / 2) * now.size, now.y - (py - now.height / 2) * now.size];

  function lengthText(value, digits) {
    const [number, name] = value >= 1000 ? [value / 1000, "mm"] : value < 1 ? [value * 1000, "nm"] : [value, "µm"];
    return `${digits ? number.toPrecision(Math.max(digits, Math.floor(Math.log10(number || 1)) + 1)) : +number.toPrecision(6)} ${name}`;
  }
  const bytesText = (count) => (count < 1e6 ? `${(count / 1e3).toPrecision(3)} kB` : count < 1e9 ? `${(count / 1e6).toPrecision(3)} MB`
    : `${(count / 1e9).toPrecision(3)} GB`);

  // ---- state -------------------------------------------------------------------------------------------------------

  const stage = $("stage"), root = document.documentElement;
  let layers = []; // the first is on top
  let swipe = null; // {left, right, at}
  let measure = null; // {points: [[x, y], …], live: [x, y] or null}
  let outlines = true;
  let started = false;
  let pointer = null;
  let control = null; // an empty map above the others, which the user moves; the others follow
  const shown = []; // maps from the bottom up: {map, box, keys}

  const good = () => layers.filter((one) => one.archive);
  const byId = (id) => layers.find((one) => one.id === id);

  function say(text) {
    $("message").textContent = text;
    clearTimeout(say.timer);
    say.timer = setTimeout(() => ($("message").textContent = ""), 6000);
  }

  // ---- maps --------------------------------------------------------------------------------------------------------

  function makeMap(name, interactive, style) {
    const box = document.createElement("div");
    box.className = name;
    $("maps").insertBefore(box, control && control.getContainer());
    const map = new maplibregl.Map({
      container: box, interactive, style, attributionControl: false,
      renderWorldCopies: false, maxZoom: FINEST, maxPitch: 0, dragRotate: false, pitchWithRotate: false, touchPitch: false,
      fadeDuration: 0, trackResize: true, center: control ? control.getCenter() : [0, 0], zoom: control ? control.getZoom() : 0,
    });
    map.on("error", () => {}); // told by the layer that it is of
    const one = { map, box, keys: [], busy: true, again: false };
    map.on("idle", () => {
      // Tiles that came last lie below finer ones of the view before, until MapLibre looks at its tiles once more.
      one.again = one.busy && !one.again;
      if (one.again) return map.jumpTo({});
      one.busy = false;
      settle();
    });
    return one;
  }

  function wait(one) { // until the map has drawn what it is told now
    one.busy = true;
    one.again = false;
    $("maps").setAttribute("aria-busy", "true");
    one.map.triggerRepaint();
  }

  function settle() {
    const done = started && !control.isMoving() && shown.every(({ busy, keys }) => !busy || !keys.length);
    if (done) $("maps").setAttribute("aria-busy", "false");
  }

  /** Layers by map, from the bottom up: those that are not blended share one with what is not blended below them. */
  function groups() {
    if (swipe) return ["left", "right"].map((side) => ({ blend: "normal", side, layers: [byId(swipe[side])] }));
    const found = [];
    for (const layer of good().filter((one) => one.visible).reverse()) {
      const last = found.at(-1), blend = last ? layer.blend : "normal";
      const joins = last && blend === "normal" && last.blend === "normal";
      if (joins || found.length === MOST_MAPS) {
        last.layers.push(layer);
        if (!joins) say(`${layer.id} is not blended: ${MOST_MAPS} maps lie on each other already`);
      } else found.push({ blend, layers: [layer] });
    }
    return found;
  }

  const drawnAs = (layer) => layer.key + asked(layer);

  function draw() {
    const wanted = groups();
    for (const { layers: some } of wanted.slice(shown.length)) {
      const one = makeMap("shown", false, styleOf(some));
      one.keys = some.map(drawnAs);
      shown.push(one);
    }
    shown.forEach((one, index) => fill(one, wanted[index]));
    const now = swipe ? swipe.at : 0;
    $("divider").hidden = $("compare").hidden = !swipe;
    $("divider").style.left = `${100 * now}%`;
    $("divider").setAttribute("aria-valuenow", Math.round(100 * now));
    $("swipe").setAttribute("aria-pressed", Boolean(swipe));
    overlay();
    remember();
  }

  function fill(one, group) {
    const { map, box } = one, keys = group ? group.layers.map(drawnAs) : [];
    box.hidden = !group;
    box.style.mixBlendMode = group ? group.blend : "";
    box.style.clipPath = !group || !group.side ? ""
      : group.side === "left" ? `inset(0 ${100 * (1 - swipe.at)}% 0 0)` : `inset(0 0 0 ${100 * swipe.at}%)`;
    if (keys.join() !== one.keys.join()) {
      one.keys = keys;
      map.setStyle(styleOf(group ? group.layers : []), { diff: true });
      map.resize();
    }
    for (const layer of group ? group.layers : [])
      if (map.getLayer(layer.key)) map.setPaintProperty(layer.key, "raster-opacity", layer.opacity);
    wait(one);
  }

  /** Of a tile, in pixels of the page. On fine screens it covers as much less, so that its pixels are those of the screen. */
  const sideOf = (archive) => archive.size / (window.devicePixelRatio >= 1.5 ? 2 : 1);

  function styleOf(some) {
    const sources = {}, drawn = [];
    for (const layer of some) {
      const { key, archive, zooms, opacity } = layer, url = `archive://${key}/{z}/{x}/{y}/${asked(layer)}`;
      sources[key] = { type: "raster", tiles: [url], tileSize: sideOf(archive), minzoom: zooms[0], maxzoom: zooms[1] };
      drawn.push({ id: key, type: "raster", source: key, paint: { "raster-opacity": opacity, "raster-fade-duration": 0 } });
    }
    return { version: 8, sources, layers: drawn };
  }

  maplibregl.addProtocol("archive", async ({ url }, { signal }) => {
    const [key, z, x, y, groups] = url.slice("archive://".length).split("/");
    const layer = layers.find((one) => one.key === key);
    try {
      return { data: (await layer.archive.tile(+z, +x, +y, signal, groups)) || (await nothing()) };
    } catch (error) {
      if (error.name !== "AbortError" && !error.opening) {
        const words = error instanceof DOMException ? "is no picture that can be decoded" : error.message;
        complain(layer, `Tile ${z}/${x}/${y}: ${words}.`);
      }
      throw error;
    }
  });
  const nothing = () => createImageBitmap(new ImageData(1, 1));

  function complain(layer, text) {
    layer.item.querySelector(".problem").textContent = text;
  }

  function fit(boxes) {
    if (!boxes.length) return;
    const left = Math.min(...boxes.map((one) => one[0])), right = Math.max(...boxes.map((one) => one[2]));
    const top = Math.max(...boxes.map((one) => one[1])), bottom = Math.min(...boxes.map((one) => one[3]));
    const edge = stage.clientWidth > 900 && !$("panel").classList.contains("folded") ? 328 : 0, head = 20, foot = 60, margin = 32;
    const width = Math.max(stage.clientWidth - edge - 2 * margin, 50), height = Math.max(stage.clientHeight - head - foot - 2 * margin, 50);
    const size = Math.max((right - left) / width, (top - bottom) / height);
    const x = (left + right) / 2 - (edge / 2) * size, y = (top + bottom) / 2 - ((foot - head) / 2) * size;
    control.jumpTo({ center: toDegrees(x, y), zoom: Math.min(zoomOf(size), FINEST) });
  }

  // ---- what lies above the maps ------------------------------------------------------------------------------------

  const drawn = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    return element;
  };

  function overlay() {
    const now = seen(), parts = [];
    const inView = swipe ? [byId(swipe.left), byId(swipe.right)] : good().filter((one) => one.visible);
    const taken = new Map(); // names of images at one corner stand above each other
    for (const { id, bounds } of outlines ? inView : []) {
      const [x0, y0] = toPixels(now, bounds[0], bounds[1]), [x1, y1] = toPixels(now, bounds[2], bounds[3]);
      parts.push(drawn("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0 }));
      const corner = `${Math.round(x0)},${Math.round(y0)}`, line = taken.get(corner) || 0;
      taken.set(corner, line + 1);
      parts.push(drawn("text", { x: x0 + 2, y: y0 - 6 - 16 * line }, id.length > 60 ? `${id.slice(0, 59)}…` : id));
    }
    if (measure) {
      const ends = [...measure.points, ...(measure.live && measure.points.length === 1 ? [measure.live] : [])];
      const pixels = ends.map((end) => toPixels(now, ...end));
      if (ends.length === 2) {
        const [[x1, y1], [x2, y2]] = pixels;
        for (const name of ["under", "rule"]) parts.push(drawn("line", { class: name, x1, y1, x2, y2 }));
        const length = Math.hypot(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]);
        parts.push(drawn("text", { class: "length", x: (x1 + x2) / 2 + 8, y: (y1 + y2) / 2 - 8 }, lengthText(length, 4)));
      }
      for (const [cx, cy] of pixels) parts.push(drawn("circle", { cx, cy, r: 4 }));
    }
    $("overlay").replaceChildren(...parts);
    scaleBar(now.size);
    readout(now);
    for (const { archive, item, zooms } of layers)
      if (archive) {
        const low = zooms[0] - 0.5 - Math.log2(512 / sideOf(archive));
        item.querySelector(".far").textContent = control.getZoom() < low ? "Zoom in to see it: it has no coarser tiles." : "";
      }
  }

  function scaleBar(size) {
    const most = 150 * size, power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((digit) => digit * power).find((value) => value <= most);
    $("scale").style.width = `${length / size}px`;
    $("scale").firstElementChild.textContent = lengthText(length);
    $("scale").setAttribute("aria-label", `Scale bar: ${lengthText(length)}`);
  }

  function readout(now) {
    const [x, y] = pointer ? toMicrons(now, ...pointer) : [now.x, now.y];
    const digits = Math.min(Math.max(Math.ceil(-Math.log10(now.size / 4)), 0), 4);
    const text = (value) => value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
    $("place").textContent = `${pointer ? "" : "centre  "}x ${text(x)}  y ${text(y)} µm`;
  }

  // ---- the panel ---------------------------------------------------------------------------------------------------

  function listed(layer) {
    const item = document.createElement("li");
    item.innerHTML = `<div class="row"><span class="grip" aria-hidden="true">⠿</span>
      <label><input type="checkbox" class="visible"><span class="name"></span></label>
      <button type="button" class="zoom">${AIM}</button><button type="button" class="up">↑</button>
      <button type="button" class="down">↓</button></div>
      <div class="row adjust"><input type="range" class="opacity" min="0" max="100"><select class="blend"></select></div>
      <div class="colours" hidden></div><p class="facts"></p><p class="far"></p><p class="problem" role="alert"></p>`;
    const part = (name) => item.querySelector(`.${name}`);
    part("name").textContent = part("name").title = layer.id;
    for (const [name, words] of [["visible", "Show"], ["zoom", "Zoom to"], ["up", "Move up"], ["down", "Move down"], ["opacity", "Opacity of"],
      ["blend", "Blending of"]]) {
      part(name).setAttribute("aria-label", `${words} ${layer.id}`);
      part(name).title = `${words} ${layer.id}`;
    }
    for (const blend of BLENDS) part("blend").add(new Option(blend, blend));
    part("visible").onchange = (event) => change(layer, { visible: event.target.checked });
    part("opacity").oninput = (event) => change(layer, { opacity: event.target.value / 100 });
    part("blend").onchange = (event) => change(layer, { blend: event.target.value });
    part("zoom").onclick = () => fit([layer.bounds]);
    part("up").onclick = () => move(layer, layers.indexOf(layer) - 1);
    part("down").onclick = () => move(layer, layers.indexOf(layer) + 1);
    dragging(item, part("grip"), layer);
    return item;
  }

  function dragging(item, grip, layer) {
    item.draggable = false; // else the sliders in it could not be moved
    grip.onpointerdown = () => (item.draggable = true);
    grip.onpointerup = () => (item.draggable = false);
    item.ondragstart = (event) => {
      event.dataTransfer.setData("text/plain", layer.id);
      event.dataTransfer.effectAllowed = "move";
      item.classList.add("dragged");
    };
    item.ondragend = () => {
      item.draggable = false;
      item.classList.remove("dragged");
    };
    item.ondragover = (event) => {
      event.preventDefault();
      item.classList.add("over");
    };
    item.ondragleave = () => item.classList.remove("over");
    item.ondrop = (event) => {
      event.preventDefault();
      item.classList.remove("over");
      const from = byId(event.dataTransfer.getData("text/plain"));
      if (from) move(from, layers.indexOf(layer));
    };
  }

  function change(layer, values) {
    Object.assign(layer, values);
    panel();
    draw();
  }

  function move(layer, to) {
    const focused = document.activeElement;
    layers = layers.filter((one) => one !== layer);
    layers.splice(to, 0, layer);
    panel();
    draw();
    if (layer.item.contains(focused)) (focused.disabled ? layer.item.querySelector("button:not(:disabled).down, button:not(:disabled).up") : focused).focus();
    say(`${layer.id} is layer ${layers.indexOf(layer) + 1} of ${layers.length} from the top`);
  }

  function panel() {
    layers.forEach((layer, index) => {
      const { item } = layer, part = (name) => item.querySelector(`.${name}`);
      if ($("layers").children[index] !== item) $("layers").insertBefore(item, $("layers").children[index] || null);
      part("visible").checked = layer.visible && Boolean(layer.archive);
      part("visible").disabled = part("zoom").disabled = !layer.archive;
      part("adjust").hidden = !layer.archive;
      part("opacity").value = Math.round(layer.opacity * 100);
      part("opacity").setAttribute("aria-valuetext", `${Math.round(layer.opacity * 100)} %`);
      part("blend").value = layer.blend;
      part("up").disabled = index === 0;
      part("down").disabled = index === layers.length - 1;
    });
    for (const side of swipe ? ["left", "right"] : []) {
      $(side).replaceChildren(...good().map((one) => new Option(one.id, one.id)));
      $(side).value = swipe[side];
    }
    $("swipe").disabled = good().length < 2;
  }

  // ---- points by group ---------------------------------------------------------------------------------------------

  /** The groups of a layer as the server is asked for them: a number for each colour, with - those that are hidden; then
      whether all others are drawn. Empty where points are not told apart. */
  const asked = ({ legend }) => legend && legend.on
    ? `${legend.slots.map(({ number, shown }) => (shown ? "" : "-") + number).join(",")};${+legend.rest}` : "";

  function legendOf(layer, said) {
    const { groups, colours } = layer, found = /^(-?\d+(?:,-?\d+)*);([01])$/.exec(said || "");
    const texts = found ? found[1].split(",") : groups.map((_, number) => `${number}`);
    const slots = texts.map((text) => ({ number: Math.abs(text), shown: text[0] !== "-", picked: 0 }));
    const known = slots.filter(({ number }) => number < groups.length).slice(0, colours.length - 1);
    return { on: Boolean(found), slots: known, rest: !found || found[2] === "1", picks: 0 };
  }

  function legendBox(layer) {
    const { legend, groups, group, colours } = layer, box = layer.item.querySelector(".colours"), count = groups.length;
    box.hidden = false;
    box.innerHTML = `<label><input type="checkbox" class="by"> Colour by <span class="column"></span></label><div class="legend">
      <ul></ul><div class="row"><input type="search" class="find" list="${layer.key}-names" autocomplete="off">
      <datalist id="${layer.key}-names"></datalist><button type="button" class="all"></button></div></div>`;
    const part = (name) => box.querySelector(`.${name}`), list = box.querySelector("ul"), redraw = () => {
      fillIn();
      draw();
    };
    const row = (name, points, colour, one, key) => {
      const item = document.createElement("li");
      item.innerHTML = `<label><input type="checkbox"><span class="swatch"></span><span class="group"></span><span class="count"></span></label>`;
      const [check, swatch, text, number] = item.querySelectorAll("input, span");
      swatch.style.background = colour;
      text.textContent = text.title = name || "(no name)";
      number.textContent = points.toLocaleString("en-US");
      check.checked = one[key];
      check.onchange = () => {
        one[key] = check.checked;
        redraw();
      };
      return item;
    };
    const fillIn = () => {
      part("by").checked = legend.on;
      part("legend").hidden = !legend.on;
      const rows = legend.slots.map((one, index) => row(...groups[one.number], colours[index], one, "shown"));
      const named = legend.slots.reduce((sum, { number }) => sum + groups[number][1], 0), others = count - legend.slots.length;
      if (others) rows.push(row(`${others.toLocaleString("en-US")} others`, layer.points - named, colours.at(-1), legend, "rest"));
      const focused = [...list.querySelectorAll("input")].indexOf(document.activeElement);
      list.replaceChildren(...rows);
      if (focused >= 0) list.querySelectorAll("input")[focused].focus();
      part("all").textContent = legend.slots.every(({ shown }) => shown) && legend.rest ? "Hide all" : "Show all";
      part("find").hidden = !others;
    };
    part("column").textContent = group;
    part("by").onchange = ({ target }) => {
      legend.on = target.checked;
      redraw();
    };
    part("all").onclick = ({ target }) => {
      legend.rest = target.textContent === "Show all";
      for (const one of legend.slots) one.shown = legend.rest;
      redraw();
    };
    part("find").placeholder = `Find one of ${count.toLocaleString("en-US")}`;
    part("find").setAttribute("aria-label", `Find a ${group}`);
    const lower = groups.map(([name]) => name.toLowerCase());
    part("find").oninput = ({ target }) => {
      const word = target.value.trim().toLowerCase(), starts = [], holds = [];
      for (let number = 0; word && number < count && starts.length < 20; number++)
        if (lower[number].startsWith(word)) starts.push(number);
        else if (holds.length < 20 && lower[number].includes(word)) holds.push(number);
      box.querySelector("datalist").replaceChildren(...[...starts, ...holds].slice(0, 20).map((number) => new Option(groups[number][0])));
    };
    part("find").onchange = ({ target }) => {
      const word = target.value.trim(), exact = groups.findIndex(([name]) => name === word);
      const number = exact < 0 ? lower.indexOf(word.toLowerCase()) : exact;
      if (number < 0) return word && say(`No ${group} is called ${word}`);
      target.value = "";
      say(pick(legend, groups, number));
      redraw();
    };
    fillIn();
  }

  /** Give a group a colour: that of one that is hidden, or of the one that has been there for longest. */
  function pick(legend, groups, number) {
    let one = legend.slots.find((slot) => slot.number === number), before = "";
    if (!one) {
      one = legend.slots.reduce((best, slot) => (slot.shown < best.shown || (slot.shown === best.shown && slot.picked <= best.picked) ? slot : best));
      before = ` in place of ${groups[one.number][0]}`;
    }
    Object.assign(one, { number, shown: true, picked: ++legend.picks });
    return `${groups[number][0]} is shown${before}`;
  }

  async function follow(layer) { // until the server has read the points
    const dots = new Dots(layer.url);
    try {
      for (;;) {
        const state = await dots.state();
        if (state.problem) throw new Error(state.problem);
        if (state.points) Object.assign(layer, state, { archive: dots });
        layer.item.querySelector(".facts").textContent = state.points ? facts(layer) : `reading: ${Math.floor(100 * state.read)} %`;
        if (state.points) break;
        await new Promise((done) => setTimeout(done, 250));
      }
    } catch (error) {
      layer.item.querySelector(".facts").textContent = "";
      return complain(layer, `Cannot be shown: ${error instanceof TypeError ? "it cannot be read" : error.message}.`);
    }
    if (layer.groups.length) {
      layer.legend = legendOf(layer, layer.said);
      legendBox(layer);
    }
    if (good().length === 1) fit([layer.bounds]);
    panel();
    draw();
  }

  function facts({ bounds, zooms, archive, bytes, points }) {
    if (points) return `${points.toLocaleString("en-US")} points`;
    const side = (length) => lengthText(length, 3), finest = (2 * HALF) / (archive.size * 2 ** zooms[1]);
    return [`${side(bounds[2] - bounds[0])} × ${side(bounds[1] - bounds[3])}`, `${+finest.toPrecision(3)} µm/pixel`,
      zooms[0] < zooms[1] ? `z${zooms[0]}–${zooms[1]}` : `z${zooms[1]}`, ...(bytes ? [bytesText(bytes)] : [])].join(" · ");
  }

  // ---- tools -------------------------------------------------------------------------------------------------------

  function toggleSwipe() {
    const able = good();
    if (able.length < 2) return;
    const [left, right] = [...able.filter((one) => one.visible), ...able.filter((one) => !one.visible)];
    swipe = swipe ? null : { left: left.id, right: right.id, at: 0.5 };
    panel();
    draw();
  }

  function slide(at) {
    swipe.at = Math.min(Math.max(at, 0), 1);
    draw();
  }

  function toggleMeasure(on = !measure) {
    measure = on ? { points: [], live: null } : null;
    root.classList.toggle("measuring", on);
    $("measure").setAttribute("aria-pressed", on);
    if (on) say("Click two points; from the keyboard, Enter sets the centre of the map, Escape ends");
    overlay();
  }

  function setPoint(point) {
    if (measure.points.length === 2) measure.points = [];
    measure.points.push(point);
    measure.live = point;
    overlay();
    if (measure.points.length === 2) {
      const [[x0, y0], [x1, y1]] = measure.points;
      say(`Distance: ${lengthText(Math.hypot(x1 - x0, y1 - y0), 4)}`);
    }
  }

  function setTheme(name) {
    root.dataset.theme = name;
    $("theme").textContent = name === "dark" ? "Light" : "Dark";
    remember();
  }

  function setOutlines(on) {
    outlines = on;
    $("outline").setAttribute("aria-pressed", on);
    overlay();
    remember();
  }

  function fold() {
    const folded = $("panel").classList.toggle("folded");
    $("fold").setAttribute("aria-expanded", !folded);
  }

  async function copyLink() {
    remember.now();
    try {
      await navigator.clipboard.writeText(location.href);
      say("The address is copied");
    } catch {
      say("The address above keeps this view; the browser does not let the page copy it");
    }
  }

  const KEYS = {
    0: () => $("fit").click(), m: () => toggleMeasure(), s: toggleSwipe, b: () => $("theme").click(), o: () => setOutlines(!outlines), l: fold,
  };

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]), select")) return;
    if (event.key === "Escape" && measure) toggleMeasure(false);
    else if (event.key === "Enter" && measure && event.target.matches(".maplibregl-canvas")) {
      const now = seen();
      setPoint([now.x, now.y]);
    } else if (/^[1-9]$/.test(event.key)) {
      const layer = layers[event.key - 1];
      if (layer && layer.archive) change(layer, { visible: !layer.visible });
    } else if (KEYS[event.key.toLowerCase()]) KEYS[event.key.toLowerCase()]();
  }

  function wire() {
    $("fit").onclick = () => fit((good().some((one) => one.visible) ? good().filter((one) => one.visible) : good()).map((one) => one.bounds));
    $("measure").onclick = () => toggleMeasure();
    $("swipe").onclick = toggleSwipe;
    $("outline").onclick = () => setOutlines(!outlines);
    $("theme").onclick = () => setTheme(root.dataset.theme === "dark" ? "light" : "dark");
    $("link").onclick = copyLink;
    $("fold").onclick = fold;
    $("in").onclick = () => control.zoomIn();
    $("out").onclick = () => control.zoomOut();
    for (const side of ["left", "right"]) $(side).onchange = (event) => {
      swipe[side] = event.target.value;
      draw();
    };
    const divider = $("divider");
    divider.onpointerdown = (event) => divider.setPointerCapture(event.pointerId);
    divider.onpointermove = (event) => divider.hasPointerCapture(event.pointerId) && slide(event.clientX / stage.clientWidth);
    divider.onkeydown = (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 }[event.key];
      if (step) slide(swipe.at + step);
    };
    document.addEventListener("keydown", key);
    window.addEventListener("hashchange", recall);
    control.on("move", () => {
      const camera = { center: control.getCenter(), zoom: control.getZoom() };
      for (const one of shown) {
        one.map.jumpTo(camera);
        wait(one);
      }
      overlay();
    });
    control.on("moveend", remember);
    control.on("resize", overlay);
    control.on("mousemove", ({ point }) => {
      pointer = [point.x, point.y];
      if (measure) measure.live = toMicrons(seen(), ...pointer);
      measure ? overlay() : readout(seen());
    });
    control.on("mouseout", () => {
      pointer = null;
      readout(seen());
    });
    control.on("click", ({ point }) => measure && setPoint(toMicrons(seen(), point.x, point.y)));
  }

  // ---- the address -------------------------------------------------------------------------------------------------

  /** The view behind the # of the address: place in µm, µm per pixel, layers from the top with what differs. */
  function address() {
    const now = seen(), said = new URLSearchParams();
    said.set("x", now.x.toFixed(4));
    said.set("y", now.y.toFixed(4));
    said.set("z", control.getZoom().toFixed(4));
    for (const { id, visible, opacity, blend } of good()) said.append("l", [+visible, +opacity.toFixed(2), blend, id].join(":"));
    if (swipe) said.set("swipe", [swipe.at.toFixed(3), ...[swipe.left, swipe.right].map(encodeURIComponent)].join(":"));
    if (root.dataset.theme !== "dark") said.set("theme", root.dataset.theme);
    if (!outlines) said.set("outlines", "0");
    for (const layer of layers) if (layer.legend ? layer.legend.on : layer.said) said.set("groups", layer.legend ? asked(layer) : layer.said);
    return `#${said}`;
  }

  function remember() {
    clearTimeout(remember.timer);
    remember.timer = setTimeout(remember.now, 200);
  }
  remember.now = () => started && history.replaceState(null, "", address());

  const decoded = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return "";
    }
  };

  /** Take the view from the address; what it does not say, or says wrongly, stays as it is. */
  function recall() {
    const said = new URLSearchParams(location.hash.slice(1));
    const [x, y, z] = ["x", "y", "z"].map((name) => parseFloat(said.get(name)));
    const order = [];
    for (const text of said.getAll("l")) {
      const [visible, opacity, blend, ...id] = text.split(":"), layer = byId(id.join(":"));
      if (!layer || order.includes(layer)) continue;
      order.push(layer);
      layer.visible = visible !== "0";
      if (opacity >= 0 && opacity <= 1) layer.opacity = +opacity;
      if (BLENDS.includes(blend)) layer.blend = blend;
    }
    layers = [...order, ...layers.filter((one) => !order.includes(one))];
    const [at, left, right] = (said.get("swipe") || "").split(":").map(decoded);
    const able = (id) => byId(id) && byId(id).archive;
    swipe = at >= 0 && at <= 1 && able(left) && able(right) ? { at: +at, left, right } : null;
    for (const layer of layers.filter((one) => "points" in one)) {
      layer.said = said.get("groups");
      if (!layer.legend) continue;
      layer.legend = legendOf(layer, layer.said);
      legendBox(layer);
    }
    outlines = said.get("outlines") !== "0";
    $("outline").setAttribute("aria-pressed", outlines);
    setTheme(said.get("theme") === "light" ? "light" : "dark");
    if ([x, y, z].every(Number.isFinite)) control.jumpTo({ center: toDegrees(x, y), zoom: Math.min(Math.max(z, 0), FINEST) });
    panel();
    draw();
  }

  // ---- start -------------------------------------------------------------------------------------------------------

  /** Show an archive, as the list of layers has it, while its head is read; no more if that cannot be. */
  async function opened(layer) {
    try {
      if (layer.problem) throw new Error(layer.problem);
      layer.archive = new Archive(layer.url, layer.size);
      layer.item.querySelector(".facts").textContent = facts(layer);
      await layer.archive.opening;
    } catch (error) {
      layer.archive = null;
      layer.item.querySelector(".facts").textContent = "";
      complain(layer, `Cannot be shown: ${error instanceof TypeError ? "it cannot be read" : error.message}.`);
      if (swipe && !(byId(swipe.left).archive && byId(swipe.right).archive)) swipe = null;
      panel();
      if (started) draw();
    }
  }

  async function start() {
    const said = location.hash, answer = await fetch("map.json");
    if (!answer.ok) throw new Error(`map.json cannot be read (HTTP ${answer.status})`);
    const { title, layers: found } = await answer.json();
    document.title = `${title} – cartloader view`;
    $("title").textContent = $("title").title = title;
    layers = found.map((one, index) => ({ ...one, key: `layer${index}`, visible: true, opacity: 1, blend: "normal" }));
    for (const layer of layers) layer.item = listed(layer);
    control = makeMap("control", true, styleOf([])).map;
    control.keyboard.disableRotation();
    control.touchZoomRotate.disableRotation();
    control.getCanvas().setAttribute("aria-label", "Map: arrows move it, plus and minus zoom");
    wire();
    panel();
    const all = layers.filter((one) => !("points" in one)).map(opened);
    started = true;
    fit(good().map((one) => one.bounds));
    if (said) recall();
    else {
      panel();
      draw();
    }
    settle();
    layers.filter((one) => "points" in one).forEach(follow);
    await Promise.all(all);
    if (!good().length) say("None of the archives can be shown");
  }

  start().catch((error) => {
    $("message").textContent = `The page cannot start: ${error.message}`;
  });
})();
