// A client of the edge's native protocol (docs/PROTOCOL.md §1), in one file
// and without dependencies.
//
//   const client = new Fabric({ url, token, rooms: ["mine"] });
//   client.addEventListener("event", (e) => …e.detail);
//   client.start();
//
// Events: "state" {state, stale, wait}, "event", "gap", "joined", "left",
// "revoked", "caughtup" {events, ms}, "refused" {message}.
//
// States: connecting → replaying → live, disconnected between two tries and
// after stop(). "stale" is said beside live: connected, but data may lag.

const SUBPROTOCOL = "fabric.v1.json";
const BACKOFF_MIN = 500;
const BACKOFF_MAX = 20_000;
const CONNECT_ID = 1;

export class Fabric extends EventTarget {
  #url; #token; #rooms;
  #socket = null;
  #running = false;
  #tries = 0;
  #after = null;      // what the edge asked us to wait before coming back
  #retry = 0;         // timer of the next try
  #watch = 0;         // timer that ends a silent connection
  #silence = 0;       // how long it may be silent

  #cursor = "";       // newest place up to which we have everything
  #last = new Map();  // room and type → sequence of the last event handled

  // Rooms that are not live yet, each with what to resume it from: a cursor,
  // or null for a fresh join whose last value has not come. The cursor of an
  // event counts only in rooms that are not in here.
  #held = new Map();

  #opened = 0;        // when this connection was begun
  #replayed = 0;      // events received before it was live
  #stale = false;
  #resumed = false;
  #state = "disconnected";

  constructor({ url, token, rooms }) {
    super();
    this.#url = url;
    this.#token = token;
    this.#rooms = rooms;
  }

  get state() { return this.#state; }
  get stale() { return this.#stale; }

  /** Connects, and keeps connected until stop(). */
  start() {
    if (this.#running) return;
    this.#running = true;
    this.#tries = 0;
    this.#open();
  }

  /** Closes and stays away; start() resumes from here. */
  stop() {
    this.#running = false;
    clearTimeout(this.#retry);
    this.#drop();
    this.#become("disconnected");
  }

  /** Goes on at another edge: the cursor is good at every one of them. */
  move(url) {
    this.#url = url;
    if (!this.#running) return;
    this.stop();
    this.start();
  }

  #open() {
    this.#opened = performance.now();
    this.#replayed = 0;
    this.#become("connecting");
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    this.#socket = socket;
    this.#silence = 15_000;
    this.#heard();
    socket.onopen = () => this.#connect();
    socket.onmessage = (e) => { if (socket === this.#socket) this.#receive(e.data); };
    socket.onclose = (e) => { if (socket === this.#socket) this.#closed(e); };
  }

  #connect() {
    this.#resumed = this.#cursor !== "";
    const rooms = [...this.#rooms];
    for (const [room, cursor] of this.#held) {
      // What resumes from our own cursor needs no mention of its own.
      if (cursor !== (this.#cursor || null)) rooms.push({ room, cursor });
    }
    const connect = { token: this.#token, rooms, client: "fabric-dev-page" };
    if (this.#cursor) connect.cursor = this.#cursor;
    this.#send({ id: CONNECT_ID, connect });
    this.#become("replaying");
  }

  #receive(text) {
    this.#heard();
    for (const line of text.split("\n")) {
      if (line !== "") this.#handle(JSON.parse(line));
    }
  }

  #handle(f) {
    if (f.error) return this.#failed(f);
    if (f.id === CONNECT_ID && f.connect) return this.#connected(f.connect);
    if (f.event) return this.#event(f.event);
    if (f.live) return this.#live(f.live);
    if (f.ping !== undefined && f.id === undefined) return this.#ping(f.ping);
    if (f.gap) return this.#gap(f.gap);
    if (f.joined) { this.#held.set(f.joined.room, null); return this.#tell("joined", f.joined); }
    if (f.left) { this.#held.delete(f.left.room); return this.#tell("left", f.left); }
    if (f.revoked) { this.#held.delete(f.revoked.room); return this.#tell("revoked", f.revoked); }
    if (f.state) { this.#stale = f.state.stale; return this.#become(this.#state); }
    if (f.disconnect) { this.#after = f.disconnect.after ?? null; }
  }

  #connected(c) {
    this.#silence = 2 * c.ping * 1000 + 1000;
    this.#heard();
    const before = new Map(this.#held);
    this.#held.clear();
    for (const [room, fate] of Object.entries(c.rooms)) {
      if (fate.error) { this.#tell("revoked", { room, reason: fate.error.message }); continue; }
      this.#held.set(room, before.has(room) ? before.get(room) : this.#cursor || null);
    }
    this.#tell("rooms", { rooms: [...this.#held.keys()] });
  }

  #event(e) {
    if (this.#state === "replaying" && !e.snapshot) this.#replayed++;
    if (!this.#held.has(e.room)) this.#cursor = e.cursor;
    const key = e.room + " " + e.type;
    if (!e.snapshot && e.seq <= (this.#last.get(key) ?? 0)) return; // seen before
    this.#last.set(key, e.seq);
    this.#tell("event", { ...e, replayed: this.#state === "replaying" });
  }

  #live(l) {
    if (l.room) this.#held.delete(l.room); else this.#held.clear();
    this.#cursor = l.cursor;
    if (l.room || this.#state === "live") return;
    this.#tries = 0;
    this.#become("live");
    if (this.#resumed) {
      this.#tell("caughtup", { events: this.#replayed, ms: Math.round(performance.now() - this.#opened) });
    }
  }

  #ping(cursor) {
    this.#send({});
    if (cursor !== "") this.#cursor = cursor;
  }

  // A gap takes effect with the live that follows it; until then the old
  // cursor stands for its room.
  #gap(g) {
    if (!this.#held.has(g.room)) this.#held.set(g.room, this.#cursor || null);
    if (g.reason === "epoch") {
      for (const key of this.#last.keys()) {
        if (key.startsWith(g.room + " ")) this.#last.delete(key);
      }
    }
    this.#tell("gap", g);
  }

  #failed(f) {
    if (f.id === CONNECT_ID && f.error.code === 112) {
      // The cursor means nothing here: begin anew, on the same connection.
      this.#cursor = "";
      this.#held.clear();
      return this.#connect();
    }
    if (!f.error.temporary) this.#tell("refused", f.error);
  }

  #closed(e) {
    this.#drop();
    if (e.code >= 3500 && e.code < 4000 || e.code >= 4500 && e.code < 5000) {
      this.#running = false;
      this.#become("disconnected");
      return this.#tell("refused", { message: `closed by the edge: ${e.code}` });
    }
    if (!this.#running) return;
    const wait = this.#after ?? Math.random() * Math.min(BACKOFF_MAX, BACKOFF_MIN * 2 ** this.#tries);
    this.#after = null;
    this.#tries++;
    this.#become("disconnected", wait);
    this.#retry = setTimeout(() => this.#open(), wait);
  }

  // Every frame proves that the edge is there; pings come when nothing else
  // does.
  #heard() {
    clearTimeout(this.#watch);
    const socket = this.#socket;
    this.#watch = setTimeout(() => {
      if (socket !== this.#socket) return;
      socket.close();
      this.#closed({ code: 1006 }); // a dead network would keep onclose waiting
    }, this.#silence);
  }

  #drop() {
    clearTimeout(this.#watch);
    const socket = this.#socket;
    this.#socket = null;
    this.#stale = false;
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close(1000);
  }

  #send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #become(state, wait = 0) {
    this.#state = state;
    this.#tell("state", { state, stale: this.#stale, wait });
  }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}
