/** The story of a reference, as roomspa explain tells it. */
import { clock, duration, h } from "./dom.js";
import { explainClose } from "./words.js";

const ms = (ns) => (ns ?? 0) / 1e6;

export function showStory(part, { story, failed_step: failed, advice, pattern, same_user: others, last_socket: before, store_missing_as: missing }, explain) {
  const longest = Math.max(1, ...(story.steps ?? []).map((s) => ms(s.took_ns)));
  const steps = (story.steps ?? []).map((step) => {
    const bar = h("span", { class: "track-bar" });
    bar.style.width = `${Math.round((ms(step.took_ns) / longest) * 100)}%`; // through the object model: style attributes are forbidden
    return h("li", { class: step.outcome === "ok" ? "ok" : "bad" }, h("strong", { text: step.name }), h("span", { class: "took", text: duration(ms(step.took_ns)) }), ` ${step.detail ?? ""}`, bar);
  });
  const { end } = story;
  if (end) {
    const close = explainClose(end.code, end.reason);
    steps.push(h("li", { class: end.code === 1000 ? "ok" : "bad" }, h("strong", { text: `ended with ${end.code} ${end.reason}` }), h("span", { class: "took", text: `after ${duration(ms(end.age_ns))}` }),
      ` by the ${end.by}. ${close.means} ${end.detail ?? ""} ${end.received} messages received, ${end.sent} sent; idle for ${duration(ms(end.idle_ns))}.`));
  }
  for (const r of story.returns ?? []) steps.push(h("li", { class: "ok" }, h("strong", { text: "client came back" }), h("span", { class: "took", text: clock(r.at) }), ` as ${r.ref}; it had seen ${r.code}.`));
  part.replaceChildren(
    h("p", {}, h("span", { class: "ref", text: story.ref }), ` ${story.endpoint ?? ""} ${story.path ?? ""} on ${story.replica ?? "?"} at ${new Date(story.began).toLocaleString()}${story.user ? `, ${story.role ?? "user"} ${story.user}` : ""}, from ${story.remote ?? "?"}.`),
    h("ol", { class: "timeline" }, steps),
    story.outcome && story.outcome !== "accepted" ? h("p", { class: "bad", text: `Refused with ${story.code || story.status} ${story.reason}${story.cause ? ` (${story.cause})` : ""}${failed ? ` at the step ${failed.name}` : ""}.` }) : "",
    advice ? h("p", { text: `${advice.means} What to do: ${advice.cure}` }) : "",
    pattern ? h("p", { class: "warn", text: pattern }) : "",
    before ? h("p", {}, "The client's socket before: ", h("button", { type: "button", class: "ref", text: before.ref, onclick: () => explain(before.ref) })) : "",
    others?.length > 1 ? h("details", {}, h("summary", { text: `${others.length} failures of this user within a day` }), h("ul", {}, others.slice(0, 50).map((f) =>
      h("li", {}, `${new Date(f.at).toLocaleString()} ${f.code} ${f.why} `, h("button", { type: "button", class: "ref", text: f.ref, onclick: () => explain(f.ref) }))))) : "",
    missing ? h("p", { class: "warn", text: `Redis did not answer, so there may be more: ${missing}` }) : "");
}
