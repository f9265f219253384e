/** The console of the public listener: both sides of a room, and what their sockets do. */
import { config } from "./config.js";
import { $ } from "./dom.js";
import { showDiagnosis } from "./diagnose.js";
import { showFrames } from "./frames.js";
import { Journal } from "./journal.js";
import { showMap } from "./map.js";
import { Side } from "./side.js";
import { showSockets } from "./sockets.js";

if (location.pathname.endsWith("/console")) history.replaceState(null, "", `${location.pathname}/${location.hash}`);

const journal = new Journal();
const sides = ["A", "B"].map((name) => new Side(name, journal));
// #demo=customer1@example.com,therapist2@example.com,password: roomspa dev prints such an address.
const demo = new URLSearchParams(location.hash.slice(1)).get("demo");
const form = $("room"), hint = $("room-hint");
const room = () => ({ customer: Number(form.customer.value) || null, therapist: Number(form.therapist.value) || null });

$("version").textContent = `roomspa ${config.version}.`;
$("sides").append(...sides.map((side) => side.element));

/** Opens the room on the sides that are signed in, where it is another one than before. */
function enter(again = false) {
  const { customer, therapist } = room();
  const signedIn = sides.filter((side) => side.session);
  if (!customer || !therapist) {
    hint.hidden = false;
    hint.textContent = signedIn.length ? `Give the ${customer ? "therapist" : "customer"}'s id to open a room, or sign in on the other side.`
      : "Sign in on both sides: the ids of the room fill in by themselves.";
    return;
  }
  hint.hidden = signedIn.length > 0 && !demo;
  if (demo) hint.textContent = "Write on one side, and click the other: the ticks change. Then kill a replica with kill -9 while you type.";
  for (const side of signedIn) {
    if (again || side.room?.customer !== customer || side.room?.therapist !== therapist || !side.chat) side.enter(customer, therapist);
  }
}

for (const side of sides) {
  side.addEventListener("session", () => {
    const { user, role } = side.session ?? {};
    if (role === "customer" || role === "therapist") form[role].value = user;
    $("demo").hidden ||= Boolean(side.session);
    enter();
  });
}
form.addEventListener("submit", (event) => { event.preventDefault(); enter(true); });

if (demo) {
  const [customer, therapist, password] = demo.split(",");
  sides[0].offer(customer, password);
  sides[1].offer(therapist, password);
  $("demo").hidden = false;
  $("demo").addEventListener("click", () => { for (const side of sides) if (!side.session) side.signIn(); });
}

showFrames(journal, sides);
showSockets(journal);
showDiagnosis(journal, sides, room);
showMap(sides);
