// The connection to the gateway: reopened for ever, and honest about silence.

const SILENCE = 3000; // ms; a status comes every second
const PATIENCE = 8000; // ms of silence until it reconnects
const AGAIN = 2000; // ms

export class Link {
  /** handlers: batch(readings), status(status), stale(tags), back(), refused(). */
  constructor(handlers) {
    this.handlers = handlers;
    this.source = null;
    this.heard = -Infinity;
    this.opened = -Infinity;
    this.waiting = null;
  }

  /** Whether the gateway is being heard. */
  get up() {
    return performance.now() - this.heard < SILENCE;
  }

  open() {
    this.close();
    this.opened = performance.now();
    const source = this.source = new EventSource("/api/stream?stage=latest");
    const listen = (name, then) => source.addEventListener(name, (event) => {
      if (!this.up) this.handlers.back();
      this.heard = performance.now();
      then(JSON.parse(event.data));
    });
    listen("batch", this.handlers.batch);
    listen("stale", this.handlers.stale);
    listen("status", this.handlers.status);
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) this.askWhy();
    };
  }

  close() {
    clearTimeout(this.waiting);
    this.waiting = null;
    this.source?.close();
    this.source = null;
  }

  /** A browser gives up on a refusal; find out whether it is for good. */
  async askWhy() {
    this.close();
    const answer = await fetch("/api/status").catch(() => null);
    if (answer?.status === 401) this.handlers.refused();
    else this.waiting = setTimeout(() => this.open(), AGAIN);
  }

  /** Called now and then: a connection that says nothing is no connection. */
  check() {
    const quiet = performance.now() - Math.max(this.heard, this.opened);
    if (this.source !== null && quiet > PATIENCE) this.open();
  }
}
