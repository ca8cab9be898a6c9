// The two panels. What they show comes from the edges alone; buttons change
// the database and nothing else.

import { Fabric } from "./fabric.js";

const CLOSED = ["completed", "cancelled", "no_show"];

// What each side may do with a booking, by its status.
const ACTIONS = {
  vendor: (status) => CLOSED.includes(status) ? [["pending", "Reopen"]]
    : status === "pending" ? [["confirmed", "Confirm"], ["cancelled", "Decline"]]
    : status === "confirmed" ? [["in_progress", "Start"], ["no_show", "No-show"], ["cancelled", "Cancel"]]
    : [["completed", "Complete"], ["cancelled", "Cancel"]],
  customer: (status) => CLOSED.includes(status) ? [] : [["cancelled", "Cancel"]],
};

const MAX_NOTIFICATIONS = 20;

const labels = new Map(); // booking id → {service, customer, vendor}

async function get(path) {
  const res = await fetch(path);
  if (!res.ok) throw new Error(await res.text());
  return res.json();
}

async function post(path, body) {
  const res = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!res.ok) throw new Error((await res.text()).trim());
  return res.json();
}

let loading = null;
async function loadLabels() {
  loading ??= get("api/bookings").finally(() => { loading = null; });
  for (const [id, label] of Object.entries(await loading)) labels.set(id, label);
}

class Panel {
  #person; #edges; #client; #root; #rows = new Map();

  constructor(person, edges, first, book) {
    this.#person = person;
    this.#edges = edges;
    this.#root = document.getElementById("panel").content.cloneNode(true).firstElementChild;
    this.#root.classList.add(person.role);
    this.#root.setAttribute("aria-label", person.role);
    this.#q("h2").textContent = person.role === "vendor" ? "Vendor" : "Customer";
    this.#controls(first);
    this.#q(".book").hidden = !book;
    this.#client = new Fabric({ url: this.#address(first), token: person.token, rooms: ["mine"] });
    this.#listen();
    document.getElementById("panels").append(this.#root);
    this.#client.start();
  }

  #q(selector) { return this.#root.querySelector(selector); }
  #address(i) { return this.#edges[i].replace(/^http/, "ws") + "/v1/ws"; }

  #controls(first) {
    const select = this.#q("select");
    this.#edges.forEach((url, i) => select.append(new Option(`${i + 1} (:${new URL(url).port})`, i, i === first, i === first)));
    select.onchange = () => {
      this.#note("");
      this.#client.move(this.#address(Number(select.value)));
    };
    const power = this.#q('input[role="switch"]');
    power.onchange = () => {
      this.#note("");
      if (power.checked) this.#client.start(); else this.#client.stop();
    };
    this.#q(".book").onclick = (e) => this.#act(e.currentTarget, () => post("api/bookings", {}));
  }

  #listen() {
    const on = (type, f) => this.#client.addEventListener(type, (e) => f(e.detail));
    on("state", () => this.#showState());
    on("rooms", ({ rooms }) => this.#keepOnly(rooms));
    on("event", (e) => this.#event(e));
    on("joined", ({ room }) => { this.#row(room); loadLabels().then(() => this.#label(room)).catch(() => {}); });
    on("left", ({ room }) => this.#rows.get(room)?.classList.add("closed"));
    on("revoked", ({ room }) => { this.#remove(room); this.#say(`No longer entitled to ${bookingOf(room)}`); });
    on("gap", (g) => this.#note(`Gap in ${g.room} (${g.reason}): showing the last value.`));
    on("caughtup", ({ events, ms }) => this.#note(`Resumed: replayed ${events} ${events === 1 ? "event" : "events"} in ${ms} ms.`));
    on("refused", ({ message }) => this.#note(`Refused: ${message}. Reload the page for new tokens.`));
  }

  #showState() {
    const { state, stale } = this.#client;
    const shown = state === "live" && stale ? "stale" : state;
    const p = this.#q(".state");
    if (p.dataset.state === shown) return;
    p.dataset.state = shown;
    p.querySelector(".text").textContent = shown;
    this.#root.classList.toggle("offline", state === "disconnected");
  }

  // After a connect the rooms of the reply are the open bookings; what is not
  // among them was closed while we were away and leaves by itself.
  #keepOnly(rooms) {
    for (const room of rooms) if (!room.startsWith("user.")) this.#row(room);
    loadLabels().then(() => { for (const room of this.#rows.keys()) this.#label(room); }).catch(() => {});
  }

  #event(e) {
    if (e.type === "notification") return this.#notification(e);
    if (e.type !== "status") return this.#note(`${bookingOf(e.room)}: ${e.type} ${JSON.stringify(e.data)}`);
    const row = this.#row(e.room);
    const status = e.data.status ?? "unknown";
    row.dataset.status = status;
    row.classList.toggle("closed", CLOSED.includes(status));
    row.querySelector(".status").textContent = status.replaceAll("_", " ");
    row.querySelector(".meta").textContent = e.snapshot ? since(e.data.updatedAt ?? e.time) : e.replayed ? "replayed" : lag(e.time);
    this.#buttons(row, e.room, status);
    if (!e.snapshot) {
      row.classList.remove("flash");
      void row.offsetWidth; // restarts the animation
      row.classList.add("flash");
      this.#say(`${bookingOf(e.room)} is ${status.replaceAll("_", " ")}`);
    }
  }

  #notification(e) {
    const li = document.createElement("li");
    const title = document.createElement("strong");
    title.textContent = e.data.title ?? e.data.type ?? "Notification";
    const text = document.createElement("span");
    text.textContent = [e.data.message, e.data.bookingId].filter(Boolean).join(" · ");
    const time = document.createElement("time");
    time.dateTime = e.time;
    time.textContent = new Date(e.time).toLocaleTimeString();
    li.append(title, text, time);
    const list = this.#q(".notifications");
    list.prepend(li);
    while (list.children.length > MAX_NOTIFICATIONS) list.lastElementChild.remove();
  }

  #row(room) {
    let row = this.#rows.get(room);
    if (row) return row;
    row = document.getElementById("booking").content.cloneNode(true).firstElementChild;
    row.querySelector(".id").textContent = bookingOf(room);
    row.querySelector(".actions").setAttribute("aria-label", `Change ${bookingOf(room)}`);
    this.#rows.set(room, row);
    const list = this.#q(".bookings");
    const next = [...list.children].find((li) => li.querySelector(".id").textContent > bookingOf(room));
    list.insertBefore(row, next ?? null);
    this.#label(room);
    this.#count();
    return row;
  }

  #remove(room) {
    this.#rows.get(room)?.remove();
    this.#rows.delete(room);
    this.#count();
  }

  #count() { this.#q(".count").textContent = this.#rows.size || ""; }

  #label(room) {
    const label = labels.get(bookingOf(room));
    if (!label) return;
    const other = this.#person.role === "vendor" ? label.customer : label.vendor;
    this.#rows.get(room).querySelector(".service").textContent = [label.service, other].filter(Boolean).join(" · ");
  }

  // Buttons are kept where they can be, so that the keyboard's focus survives
  // a change of the booking.
  #buttons(row, room, status) {
    const group = row.querySelector(".actions");
    const want = ACTIONS[this.#person.role](status);
    const had = group.contains(document.activeElement);
    group.replaceChildren(...want.map(([to, name]) => {
      const b = document.createElement("button");
      b.type = "button";
      b.textContent = name;
      b.dataset.to = to;
      b.setAttribute("aria-label", `${name} ${bookingOf(room)}`);
      b.onclick = () => this.#act(b, () => post(`api/bookings/${encodeURIComponent(bookingOf(room))}`, { status: to, by: this.#person.user }));
      return b;
    }));
    if (had) (group.firstElementChild ?? this.#q(".book")).focus();
  }

  async #act(button, f) {
    button.disabled = true;
    try { await f(); } catch (e) { this.#note(e.message); } finally { button.disabled = false; }
  }

  #note(text) { this.#q(".note").textContent = text; }
  #say(text) { this.#q(".announce").textContent = text; }
}

const bookingOf = (room) => room.slice(room.indexOf(".") + 1);
const lag = (time) => `${Math.max(0, Date.now() - Date.parse(time))} ms after the commit`;
const since = (time) => `updated ${new Date(time).toLocaleString([], { dateStyle: "short", timeStyle: "short" })}`;

try {
  const { edges, people, book } = await get("api/session");
  people.forEach((person, i) => new Panel(person, edges, i % edges.length, book));
} catch (e) {
  const p = document.createElement("p");
  p.className = "fatal";
  p.textContent = `The page's server does not answer: ${e.message}`;
  document.getElementById("panels").append(p);
}
