// The console: reads the public API, and writes what a person says of a ring. No library, no build step, nothing from elsewhere.
// Every value from the API goes through textContent or setAttribute, never through innerHTML.

const SVG = "http://www.w3.org/2000/svg";
const PAGE_SIZE = 25;
const WIDTH = 900, HEIGHT = 520, MARGIN = 34;
const LABELLED_NODES = 40;

const at = (id) => document.getElementById(id);
const state = { query: new URLSearchParams(), cursor: null, chosen: null };

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key === "class") made.className = value;
    else if (key === "text") made.textContent = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function shape(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// The key stays in this tab, and is gone with it.
const KEY = "ringwatch-key";

async function get(path, asked = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { accept: "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}),
    ...(asked.body ? { "content-type": "application/json" } : {}) };
  const answer = await fetch(path, { ...asked, headers });
  const body = await answer.json();
  if (answer.status === 401) {
    sessionStorage.removeItem(KEY);
    at("key").hidden = false;
  }
  if (!answer.ok) throw new Error(body.error?.message ?? `HTTP ${answer.status}`);
  return body;
}

const number = (value, digits = 2) => (value === null || value === undefined ? "–" : Number(value).toFixed(digits));
const count = (value) => Number(value).toLocaleString("en");
const time = (text) => (text ? text.replace("T", " ").replace(/(\.\d+)?Z$/, " UTC") : "–");
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

async function showAbout() {
  const ready = await get("readyz");
  const facts = [["Data", ready.data_set], ["Graph as of", time(ready.graph_as_of)], ["Accounts", count(ready.accounts)],
    ["Model", ready.bundle ?? "none"], ["Policy", ready.policy]];
  at("about").replaceChildren(...facts.map(([name, value]) =>
    element("div", {}, element("dt", { text: name }), element("dd", { text: value }))));
  at("simulated").hidden = !ready.simulated;
  at("problems").hidden = ready.problems.length === 0;
  at("problems").textContent = ready.problems.join(" · ");
}

function ringLink(ring) {
  const bad = ring.known_bad > 0 ? element("span", { class: "known", text: `${count(ring.known_bad)} confirmed bad` }) : null;
  const fill = element("i");
  fill.style.width = `${Math.round(Math.min(1, Math.max(0, ring.score ?? 0)) * 100)}%`;
  return element("li", {}, element("a", { href: `#${encodeURIComponent(ring.id)}`, "data-ring": ring.id },
    element("span", { class: "rank", text: `#${ring.rank}` }),
    element("span", {}, element("span", { class: "size", text: plural(ring.size, "account") }), " ", ...(bad ? [bad] : []),
      ...(ring.explained_benign ? [element("span", { class: "explained", text: "explained" })] : [])),
    element("span", { class: "score", title: "Ring score", text: number(ring.score) }),
    element("span", { class: "bar", "aria-hidden": "true" }, fill),
    element("span", { class: "words", text: ring.words })));
}

// `keep`: the ring that is shown stays, whether or not it is still in the list.
async function listRings(append, keep = false) {
  const query = new URLSearchParams(state.query);
  query.set("limit", PAGE_SIZE);
  if (append && state.cursor) query.set("cursor", state.cursor);
  try {
    const page = await get(`v1/rings?${query}`);
    const links = page.rings.map(ringLink);
    if (append) at("rings").append(...links); else at("rings").replaceChildren(...links);
    state.cursor = page.next_cursor;
    at("more").hidden = page.next_cursor === null;
    at("count").textContent = page.total === 0 ? "No ring passes these filters." : `${plural(page.total, "ring")}, the best rank first`;
    if (!append && !keep && !location.hash && page.rings.length > 0) await showRing(page.rings[0].id);
    markChosen();
  } catch (error) {
    at("count").textContent = error.message;
    if (!append) at("rings").replaceChildren();
    at("more").hidden = true;
  }
}

function markChosen() {
  for (const link of document.querySelectorAll("#rings a")) {
    if (link.dataset.ring === state.chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

async function showRing(id) {
  state.chosen = id;
  markChosen();
  try {
    const detail = await get(`v1/rings/${encodeURIComponent(id)}`);
    if (state.chosen === id) at("detail").replaceChildren(...ringParts(detail));
  } catch (error) {
    at("detail").replaceChildren(element("p", { class: "empty", text: error.message }));
  }
}

function ringParts(detail) {
  const ring = detail.ring;
  const facts = [["Rank", `#${ring.rank}`], ["Score", number(ring.score)], ["Accounts", count(ring.size)],
    ["Confirmed bad", count(ring.known_bad)], ["Density", number(ring.density)], ["Synchrony", number(ring.synchrony)],
    ["False discovery", ring.q_value === null ? "–" : ring.q_value < 0.001 ? "< 0.001" : number(ring.q_value, 3)]];
  const sentences = detail.sentences.map((sentence) => element("li", {}, sentence.text,
    ...sentence.evidence.map(reference)));
  return [
    element("h2", { text: `Ring ${ring.id}` }),
    element("dl", { class: "facts" }, ...facts.map(([name, value]) =>
      element("div", {}, element("dt", { text: name }), element("dd", { text: value })))),
    benignPart(ring),
    ...(ring.explained_benign ? [element("p", { class: "benign", text: "Something honest explains this ring at least four times as well as coordination does." })] : []),
    element("ul", { class: "sentences" }, ...sentences),
    picture(detail),
    ...minimalParts(detail.minimal),
    element("h3", { text: "Evidence" }), evidenceTable(detail.evidence),
    element("h3", { text: `Members (${count(detail.members.length)})` }), memberTable(detail.members),
    element("section", { id: "reasons", "aria-live": "polite" }, element("p", { class: "empty", text: "Choose an account to see why it scores so." })),
    ...leftOutParts(detail.left_out),
    ...(detail.timeline.length ? [element("h3", { text: "Timeline" }), timelineTable(detail.timeline)] : []),
    element("h3", { text: "In Neo4j Browser" }), ...detail.cypher.map(queryPart),
  ];
}

// What people said of the ring, and the way to say it or to take it back.
function benignPart(ring) {
  const path = `v1/rings/${encodeURIComponent(ring.id)}/benign`;
  const standing = ring.benign, told = element("span", { role: "status", class: "without" });
  const act = async (form, asked) => {
    for (const button of form.querySelectorAll("button")) button.disabled = true;
    try {
      await get(path, asked);
      await Promise.all([listRings(false, true), showRing(ring.id)]);
      at("benign")?.querySelector("button, summary")?.focus();
    } catch (error) {
      told.textContent = error.message;
      for (const button of form.querySelectorAll("button")) button.disabled = false;
    }
  };
  const confirm = element("form", {},
    element("label", {}, "Why (write no identifier into it) ", element("input", { name: "reason", maxlength: 1000, autocomplete: "off" })),
    element("button", { type: "submit", text: "Confirm that it is benign" }));
  confirm.addEventListener("submit", (event) => {
    event.preventDefault();
    const reason = new FormData(confirm).get("reason").trim();
    act(confirm, { method: "POST", body: JSON.stringify(reason ? { reason } : {}) });
  });
  if (!standing) {
    return element("details", { id: "benign", class: "verdict" }, element("summary", { text: "This is a benign group" }),
      element("p", { class: "without", text: "It leaves the list until it changes: by new accounts, a confirmed bad member, or evidence of a new kind." }), confirm, told);
  }
  const back = element("form", {}, element("button", { type: "submit", text: "Take it back" }));
  back.addEventListener("submit", (event) => {
    event.preventDefault();
    act(back, { method: "DELETE" });
  });
  const news = [standing.new_accounts ? plural(standing.new_accounts, "new account") : null,
    standing.new_bad ? `${count(standing.new_bad)} newly confirmed bad` : null,
    standing.new_evidence.length ? `evidence of a new kind (${standing.new_evidence.join(", ")})` : null].filter(Boolean);
  const changed = ring.status === "benign_changed";
  return element("div", { id: "benign", class: "verdict benign" },
    element("p", { text: `Called benign by ${standing.source} on ${time(standing.confirmed_at)}${standing.reason ? `: ${standing.reason}` : ""}.` }),
    element("p", { text: changed ? `It has changed since: ${news.join("; ")}.` : "It has not changed since, so it is not in the list." }),
    ...(changed ? [confirm] : []), back, told);
}

// A kind's name as it stands in a sentence, as the words of a ring have it.
const noun = (kind) => kind.replaceAll("_", " ").replace(/\b(ip|id|imei|iban|sms|url)\b/g, (word) => word.toUpperCase());
const reference = (id) => element("a", { class: "ref", href: `#evidence-${id}`, "data-evidence": id, text: id });

// What the ring would dissolve without; the picture frames the same things.
function minimalParts(minimal) {
  if (!minimal || minimal.things.length === 0) return [];
  const name = (thing) => thing.what === "in_step" ? "appearing side by side and behaving alike"
    : `${thing.what === "dealings" ? "what they did with " : ""}${noun(thing.kind)} ${thing.shown}`;
  const rows = minimal.things.map((thing) => element("tr", {},
    element("td", {}, name(thing), ...thing.evidence.map(reference)),
    element("td", { class: "number", text: count(thing.accounts) }),
    element("td", { class: "number", text: `${Math.round(100 * thing.carries)} %` })));
  const left = minimal.left < 2 ? "none of them hang together" : `${count(minimal.left)} of ${plural(minimal.of, "account")} hang together at most`;
  return [element("h3", { text: minimal.dissolves ? "What holds it together" : "What holds most of it together" }),
    element("p", { class: "without", text: `Without all of these ${left}; they carry ${Math.round(100 * minimal.carries)} % of the weight of its links.` }),
    table([["Thing"], ["Accounts", "number"], ["Alone it carries", "number"]], rows)];
}

function leftOutParts(entries) {
  if (!entries || entries.length === 0) return [];
  const rows = entries.map((entry) => element("tr", {},
    element("td", {}, element("button", { type: "button", class: "account", "data-account": entry.account_id, text: entry.account_id })),
    element("td", {}, entry.words.replace(`account ${entry.account_id} `, "")),
    element("td", { class: "number", text: number(entry.strength) })));
  return [element("h3", { text: "Left out, though they look linked" }),
    table([["Account"], ["Why"], ["Strongest link", "number"]], rows)];
}

function queryPart(query) {
  const text = element("pre", { tabindex: "0", text: query.text });
  const copy = element("button", { type: "button", text: "Copy" });
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(query.text);
      copy.textContent = "Copied";
    } catch {
      // Pages that did not come from this machine or over HTTPS may not write the clipboard.
      getSelection().selectAllChildren(text);
      copy.textContent = "Selected";
    }
  });
  return element("details", { class: "query" }, element("summary", { text: query.title }), copy, text);
}

function table(columns, rows) {
  const head = element("tr", {}, ...columns.map(([name, style]) => element("th", { scope: "col", class: style, text: name })));
  return element("div", { class: "scroll", tabindex: "0" },
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
}

function evidenceTable(evidence) {
  const rows = evidence.map((item) => element("tr", { id: `evidence-${item.id}` },
    element("td", { text: item.id }), element("td", { text: item.text }),
    element("td", { class: "number", text: item.weight > 0 ? number(item.weight, 1) : "–" })));
  return table([["Id"], ["What"], ["Weight", "number"]], rows);
}

function memberTable(members) {
  const rows = members.map((member) => element("tr", {},
    element("td", {}, element("button", { type: "button", class: "account", "data-account": member.account_id, text: member.account_id })),
    element("td", { text: member.role }),
    element("td", { class: member.known_bad ? "known" : null, text: member.known_bad ? "confirmed bad" : "" }),
    element("td", { class: "number", text: number(member.weight) }), element("td", { class: "number", text: number(member.score) })));
  return table([["Account"], ["Role"], ["Verdict"], ["Tie", "number"], ["Score", "number"]], rows);
}

async function showReasons(id) {
  const place = at("reasons");
  if (!place) return;
  place.dataset.account = id;
  place.replaceChildren(element("p", { class: "empty", text: `Looking for what carries the score of ${id}…` }));
  let parts;
  try {
    parts = reasonParts(await get(`v1/accounts/${encodeURIComponent(id)}/reasons`));
  } catch (error) {
    parts = [element("p", { class: "empty", text: error.message })];
  }
  if (place.dataset.account === id) place.replaceChildren(...parts);
}

// Why an account scores so, and what its score would be without what it shares with others.
function reasonParts(answer) {
  const reasons = answer.reasons.map((reason) => element("li", {}, reason.message,
    ...(reason.without ? [element("span", { class: "without", text: reason.without.words })] : [])));
  const carriers = answer.carriers ?? { nodes: [], accounts: [], least: null };
  const rows = [...carriers.nodes, ...carriers.accounts].map((carrier) => element("tr", {},
    element("td", { text: carrier.what }), element("td", { class: "number", text: number(carrier.score) }),
    element("td", { class: "number", text: number(carrier.log_odds) })));
  return [
    element("h3", { text: `Why ${answer.id} scores ${number(answer.score)}` }),
    reasons.length ? element("ul", { class: "sentences" }, ...reasons) : element("p", { class: "empty", text: "Nothing raises its score." }),
    ...(rows.length ? [table([["What carries it"], ["Score without it", "number"], ["Log odds", "number"]], rows)] : []),
    ...(carriers.least ? [element("p", { class: "without", text: carriers.least.words })] : []),
  ];
}

// What one account did at one moment stands in one row.
function timelineTable(timeline) {
  const moments = new Map();
  for (const entry of timeline) {
    const key = `${entry.time} ${entry.account_id}`;
    if (!moments.has(key)) moments.set(key, { ...entry, what: [] });
    const way = { sent: `sent ${entry.event} to `, received: `received ${entry.event} from `, used: "" }[entry.way] ?? (entry.event.startsWith("used:") ? "" : `${entry.event} · `);
    moments.get(key).what.push(entry.with ? `${way}${noun(entry.with.kind)} ${entry.with.shown}` : entry.event);
  }
  const rows = [...moments.values()].map((moment) => element("tr", {},
    element("td", { text: time(moment.time) }), element("td", {}, element("code", { text: moment.account_id })),
    element("td", { text: moment.what.join(", ") })));
  return table([["When"], ["Account"], ["What"]], rows);
}

// A spring layout that starts from a circle, so that the same ring always looks the same.
function layout(nodes, edges) {
  const points = nodes.map((_, index) => {
    const angle = (2 * Math.PI * index) / nodes.length;
    return { x: Math.cos(angle) * (1 + (index % 3) / 3), y: Math.sin(angle) * (1 + (index % 5) / 5) };
  });
  const ideal = 1.6 / Math.sqrt(nodes.length);
  for (let step = 0; step < 260; step += 1) {
    const moves = points.map((point) => ({ x: -point.x * 0.02, y: -point.y * 0.02 }));
    for (let a = 0; a < points.length; a += 1) {
      for (let b = a + 1; b < points.length; b += 1) {
        const x = points[a].x - points[b].x, y = points[a].y - points[b].y;
        const force = (ideal * ideal) / Math.max(x * x + y * y, 1e-4);
        moves[a].x += x * force; moves[a].y += y * force;
        moves[b].x -= x * force; moves[b].y -= y * force;
      }
    }
    for (const [from, to, pull] of edges) {
      const x = points[from].x - points[to].x, y = points[from].y - points[to].y;
      const force = Math.hypot(x, y) / ideal * pull;
      moves[from].x -= x * force; moves[from].y -= y * force;
      moves[to].x += x * force; moves[to].y += y * force;
    }
    const limit = 0.12 * (1 - step / 260) + 0.002;
    points.forEach((point, index) => {
      const length = Math.hypot(moves[index].x, moves[index].y) || 1;
      point.x += (moves[index].x / length) * Math.min(length, limit);
      point.y += (moves[index].y / length) * Math.min(length, limit);
    });
  }
  // Far-off nodes come closer, so that one of them does not squeeze the rest together.
  for (const point of points) {
    const scale = Math.max(Math.hypot(point.x, point.y), 1e-6) ** -0.4;
    point.x *= scale; point.y *= scale;
  }
  const low = { x: Math.min(...points.map((p) => p.x)), y: Math.min(...points.map((p) => p.y)) };
  const high = { x: Math.max(...points.map((p) => p.x)), y: Math.max(...points.map((p) => p.y)) };
  return points.map((p) => ({
    x: MARGIN + ((p.x - low.x) / (high.x - low.x || 1)) * (WIDTH - 2 * MARGIN),
    y: MARGIN + ((p.y - low.y) / (high.y - low.y || 1)) * (HEIGHT - 2 * MARGIN),
  }));
}

// From calm blue-grey to a strong orange; the table below has the numbers.
function scoreColour(score) {
  if (score === null || score === undefined) return "#9aa5b5";
  const from = [110, 143, 190], to = [214, 84, 32];
  return `rgb(${from.map((c, i) => Math.round(c + (to[i] - c) * score)).join(",")})`;
}

function edgeClass(edge) {
  if (edge.relation === "link") return "edge-link";
  return edge.relation.startsWith("used:") || edge.relation === "nearest known bad" ? "edge" : "edge-deal";
}

function picture(detail) {
  const { nodes, edges } = detail.subgraph;
  if (nodes.length === 0) return element("p", { class: "empty", text: "No picture of this ring." });
  const place = new Map(nodes.map((node, index) => [node.id, index]));
  const drawn = edges.filter((edge) => place.has(edge.source) && place.has(edge.target));
  // What accounts used and did shapes the picture; links, which join nearly all of a ring, only hold it together.
  const pairs = drawn.map((edge) => [place.get(edge.source), place.get(edge.target), edge.relation === "link" ? 0.012 : 0.13]);
  const points = layout(nodes, pairs);
  const scores = new Map(detail.members.map((member) => [member.account_id, member.score]));
  const words = `${plural(detail.ring.size, "account")} of ring ${detail.ring.id} and what links them`;
  const drawing = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words });
  // Links are an outcome, not a fact, so they lie below what accounts really used and did.
  for (const wanted of ["edge-link", "edge", "edge-deal"]) {
    drawn.forEach((edge, index) => {
      if (edgeClass(edge) !== wanted) return;
      const [from, to] = pairs[index];
      drawing.append(shape("line", { class: wanted, x1: points[from].x, y1: points[from].y, x2: points[to].x, y2: points[to].y }));
    });
  }
  const isFew = nodes.length <= LABELLED_NODES;
  nodes.forEach((node, index) => {
    const { x, y } = points[index];
    const group = shape("g", { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    group.append(shape("title", {}, document.createTextNode(`${noun(node.kind)} ${node.key}${node.role ? `, ${node.role}` : ""}`)));
    if (node.kind === "account") {
      const mark = shape("circle", { r: isFew ? 8 : 6 });
      if (scores.has(node.key)) { mark.setAttribute("class", "node-account"); mark.style.fill = scoreColour(scores.get(node.key)); }
      else mark.setAttribute("class", "node-outside");
      group.append(mark);
      if (node.minimal) group.append(shape("circle", { class: "node-minimal", r: isFew ? 15 : 12 }));
      if (node.known_bad) group.append(shape("circle", { class: "node-bad", r: isFew ? 12 : 9.5 }));
    } else {
      const half = isFew ? 7 : 5;
      group.append(shape("rect", { class: "node-entity", x: -half, y: -half, width: 2 * half, height: 2 * half, rx: 2 }));
      if (node.minimal) group.append(shape("rect", { class: "node-minimal", x: -half - 4, y: -half - 4, width: 2 * half + 8, height: 2 * half + 8, rx: 4 }));
    }
    if (isFew || node.kind !== "account" && nodes.length <= 2 * LABELLED_NODES) {
      const text = node.kind === "account" ? node.label : noun(node.kind);
      const isRight = x > WIDTH - 110;
      const away = node.minimal ? 19 : 15;
      const label = shape("text", { class: "node-label", x: isRight ? -away : away, y: 4, "text-anchor": isRight ? "end" : "start" });
      label.textContent = text.length > 18 ? `${text.slice(0, 17)}…` : text;
      group.append(label);
    }
    drawing.append(group);
  });
  return element("figure", {}, drawing, legend());
}

function legend() {
  const mark = (...parts) => shape("svg", { viewBox: "-10 -10 20 20", width: 18, height: 18, "aria-hidden": "true" }, ...parts);
  const low = shape("circle", { r: 6 }), high = shape("circle", { r: 6 });
  low.style.fill = scoreColour(0); high.style.fill = scoreColour(1);
  return element("figcaption", {},
    element("span", {}, mark(low), "account, low score"), element("span", {}, mark(high), "high score"),
    element("span", {}, mark(shape("circle", { class: "node-bad", r: 7 })), "confirmed bad"),
    element("span", {}, mark(shape("rect", { class: "node-entity", x: -6, y: -6, width: 12, height: 12, rx: 2 })), "shared identifier or counterparty"),
    element("span", {}, mark(shape("rect", { class: "node-minimal", x: -8, y: -8, width: 16, height: 16, rx: 4 })), "holds it together"),
    element("span", {}, mark(shape("line", { class: "edge", x1: -9, x2: 9, y1: 0, y2: 0 })), "used"),
    element("span", {}, mark(shape("line", { class: "edge-deal", x1: -9, x2: 9, y1: 0, y2: 0 })), "dealt with"),
    element("span", {}, mark(shape("line", { class: "edge-link", x1: -9, x2: 9, y1: 0, y2: 0 })), "linked"));
}

at("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  const entries = [...new FormData(at("filters")).entries()].filter(([, value]) => value !== "");
  state.query = new URLSearchParams(entries);
  state.cursor = null;
  listRings(false);
});
at("more").addEventListener("click", () => listRings(true));
at("detail").addEventListener("click", (event) => {
  const account = event.target.closest("button[data-account]");
  if (account) { showReasons(account.dataset.account); return; }
  const link = event.target.closest("[data-evidence]");
  if (!link) return;
  event.preventDefault();
  const row = document.getElementById(`evidence-${link.dataset.evidence}`);
  if (!row) return;
  row.scrollIntoView({ block: "center" });
  row.animate?.([{ background: "var(--chosen)" }, { background: "transparent" }], { duration: 1600 });
});
window.addEventListener("hashchange", () => {
  const id = decodeURIComponent(location.hash.slice(1));
  if (id && id !== "detail") showRing(id);
});

at("key").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, new FormData(at("key")).get("key"));
  location.reload();
});

showAbout().catch((error) => { at("problems").hidden = false; at("problems").textContent = error.message; });
listRings(false);
if (location.hash.length > 1) showRing(decodeURIComponent(location.hash.slice(1)));
