/** The live positions. Without map tiles the map has a grid of degrees. */
import { config } from "./config.js";
import { $, duration, h } from "./dom.js";
import { explainWord } from "./words.js";

const { L } = window;
const STEP = 8, DEGREE = 111_320; // metres of a step, and of a degree of latitude

export function showMap(sides) {
  const form = $("position"), status = $("position-status");
  const map = L.map("map", { attributionControl: false }).setView([Number(form.latitude.value), Number(form.longitude.value)], 14);
  L.control.scale({ imperial: false }).addTo(map);
  if (config.tiles) tiles(map);
  else grid(map);

  const users = new Map();
  const chosen = () => sides.find((side) => side.name === form.side.value && side.location);
  const send = (extra = {}) => {
    const side = chosen();
    if (!side) return void (status.textContent = "Sign in and open a room first: a position belongs to a side of a room.");
    side.location.send({ latitude: form.latitude.valueAsNumber, longitude: form.longitude.valueAsNumber, recorded_at: new Date().toISOString(), ...extra });
    status.textContent = `Sent as ${side.label}.`;
  };
  const move = (latitude, longitude) => { form.latitude.value = latitude.toFixed(6); form.longitude.value = longitude.toFixed(6); };

  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  map.on("click", ({ latlng }) => { const { lat, lng } = latlng.wrap(); move(lat, lng); send({ accuracy: 5 }); });
  $("device").addEventListener("click", () => {
    if (!navigator.geolocation) return void (status.textContent = "This browser has no position.");
    navigator.geolocation.getCurrentPosition(({ coords }) => { move(coords.latitude, coords.longitude); send({ accuracy: coords.accuracy }); },
      (error) => { status.textContent = `The browser gives no position: ${error.message}`; });
  });
  walk(form, move, send);

  for (const side of sides) {
    form.side.append(h("option", { value: side.name, text: `side ${side.name}` }));
    side.addEventListener("session", () => { form.side.options[sides.indexOf(side)].text = side.label; });
    side.addEventListener("refused", ({ detail }) => { status.textContent = `Not passed on: ${detail.code}. ${detail.detail ?? explainWord(detail.code)}`; });
    side.addEventListener("position", ({ detail }) => show(map, users, detail));
  }
  setInterval(() => { for (const user of users.values()) age(user); }, 1000);
}

function walk(form, move, send) {
  let timer, heading = 60;
  form.walk.addEventListener("change", () => {
    clearInterval(timer);
    if (!form.walk.checked) return;
    timer = setInterval(() => {
      heading = (heading + Math.random() * 60 - 30 + 360) % 360;
      const latitude = form.latitude.valueAsNumber, angle = (heading * Math.PI) / 180;
      move(latitude + (STEP / DEGREE) * Math.cos(angle), form.longitude.valueAsNumber + (STEP / (DEGREE * Math.cos((latitude * Math.PI) / 180))) * Math.sin(angle));
      send({ accuracy: 5, heading: Math.round(heading), speed: STEP });
    }, 1000);
  });
}

/** Shows a position. Both sides of the page get each one. */
function show(map, users, position) {
  const { user_id: id, role, latitude, longitude, accuracy, timestamp } = position;
  const at = [latitude, longitude];
  let user = users.get(id);
  if (!user) {
    user = {
      circle: L.circle(at, { radius: 0, className: `accuracy ${role}`, interactive: false }).addTo(map),
      track: L.polyline([], { className: `track ${role}`, interactive: false }).addTo(map),
      marker: L.circleMarker(at, { radius: 8, className: `position ${role}` }).addTo(map),
      row: h("tr"),
    };
    user.marker.bindTooltip(h("span", { text: `${role} ${id}` }), { permanent: true, direction: "right", offset: [10, 0] });
    users.set(id, user);
    $("positions").append(user.row);
    $("positions-table").hidden = false;
    if (users.size === 1) map.setView(at, 15);
  }
  if (user.timestamp === timestamp) return;
  Object.assign(user, position);
  user.marker.setLatLng(at);
  user.circle.setLatLng(at).setRadius(accuracy ?? 0);
  user.track.addLatLng(at);
  if (!map.getBounds().contains(at)) map.panTo(at);
  age(user);
}

function age({ row, user_id: id, role, latitude, longitude, accuracy, heading, speed, timestamp }) {
  const details = [accuracy !== undefined && `± ${Math.round(accuracy)} m`, heading !== undefined && `heading ${Math.round(heading)}°`, speed !== undefined && `${speed} m/s`];
  row.replaceChildren(...[`${role} ${id}`, latitude.toFixed(5), longitude.toFixed(5), details.filter(Boolean).join(", "),
    duration(Math.max(0, Date.now() - new Date(timestamp)))].map((text) => h("td", { text })));
}

function tiles(map) {
  const { host } = new URL(config.tiles.replace(/[{}]/g, ""));
  const attribution = host.endsWith("openstreetmap.org") ? "© OpenStreetMap contributors" : `Map: ${host}`;
  L.control.attribution({ prefix: false }).addTo(map);
  L.tileLayer(config.tiles, { maxZoom: 19, attribution, referrerPolicy: "strict-origin" }).addTo(map);
}

/** Draws lines of equal degrees, about 100 pixels apart, with their numbers. */
function grid(map) {
  const lines = L.layerGroup().addTo(map);
  const draw = () => {
    lines.clearLayers();
    const bounds = map.getBounds().pad(0.1), width = map.getSize().x || 600;
    const step = round(((map.getBounds().getEast() - map.getBounds().getWest()) / width) * 110);
    const places = Math.max(0, Math.ceil(-Math.log10(step)));
    const line = (from, to, at, value) => {
      lines.addLayer(L.polyline([from, to], { className: "grid", interactive: false }));
      const html = h("span", { text: `${value.toFixed(places)}°` });
      lines.addLayer(L.marker(at, { icon: L.divIcon({ className: "grid-label", html, iconSize: null }), interactive: false, keyboard: false }));
    };
    const view = map.getBounds(), [south, north] = [Math.max(-85, bounds.getSouth()), Math.min(85, bounds.getNorth())];
    for (let n = Math.ceil(bounds.getWest() / step); n * step <= bounds.getEast(); n++) line([south, n * step], [north, n * step], [view.getNorth(), n * step], n * step);
    for (let n = Math.ceil(south / step); n * step <= north; n++) line([n * step, bounds.getWest()], [n * step, bounds.getEast()], [n * step, view.getWest()], n * step);
  };
  map.on("moveend resize", draw);
  draw();
}

/** The nearest of 1, 2, 5, 10, 20 … (and 0.1, 0.2, …) that is not smaller. */
function round(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].find((n) => n * power >= step) * power;
}
