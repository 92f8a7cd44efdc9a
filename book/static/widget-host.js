// Draws a page's interactive figures where no kernel runs.
//
// The page holds the state of its widgets as JSON, and where each is shown. This host gives
// every anywidget front-end module (an ES module whose default export has `render`) a model
// with that state, as JupyterLab would, and mounts it when the reader comes near. It fetches
// nothing, so that it also works on a page opened from disk.
//
// A figure's `data-state` is one of: waiting, loading, ready, needs-kernel, error. Until it is
// ready the figure shows its still image; in the last two states it adds a message.
(() => {
  "use strict";

  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';
  const MOUNT_MARGIN = "800px";
  const MESSAGES = {
    "needs-kernel":
      "This control needs a running kernel: open the chapter in JupyterLab or Colab.",
    error: "This figure could not start in your browser.",
  };

  /** The model a front-end module sees: attributes and change events, with no kernel behind. */
  class StaticModel {
    #attributes;
    #listeners = new Map();

    constructor(attributes) {
      this.#attributes = attributes;
    }

    get(name) {
      return this.#attributes[name];
    }

    /** Set one attribute, or several given as an object; as in a kernel, equal values are no change. */
    set(name, value) {
      const given = typeof name === "string" ? { [name]: value } : name;
      const changed = Object.entries(given).filter(([key, next]) => !same(this.get(key), next));
      Object.assign(this.#attributes, Object.fromEntries(changed));
      for (const [key, next] of changed) this.#emit(`change:${key}`, next);
      if (changed.length) this.#emit("change");
    }

    save_changes() {}

    send() {}

    on(names, listener) {
      for (const name of names.split(" ")) {
        this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
      }
    }

    /** Remove one listener, all listeners of the names, or (without arguments) all. */
    off(names, listener) {
      if (names == null) return this.#listeners.clear();
      for (const name of names.split(" ")) {
        const kept = (this.#listeners.get(name) ?? []).filter((each) => listener && each !== listener);
        this.#listeners.set(name, kept);
      }
    }

    #emit(name, value) {
      for (const listener of this.#listeners.get(name) ?? []) listener(this, value);
    }
  }

  const isJson = (value) =>
    Array.isArray(value) || Object.getPrototypeOf(Object(value)) === Object.prototype;

  const same = (a, b) =>
    Object.is(a, b) || (isJson(a) && isJson(b) && JSON.stringify(a) === JSON.stringify(b));

  /** The bytes of a binary trait, as the kernel would send them. */
  function decode(base64) {
    return new DataView(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer);
  }

  /** The attributes of one widget, its binary traits put back at their paths. */
  function attributesOf({ state, buffers = [] }) {
    for (const { path, data } of buffers) {
      const parent = path.slice(0, -1).reduce((value, key) => value[key], state);
      parent[path.at(-1)] = decode(data);
    }
    return state;
  }

  const once = (make) => {
    const made = new Map();
    return (key) => made.get(key) ?? made.set(key, make(key)).get(key);
  };

  /** Import the text of a module. Several figures with the same text share one import. */
  const importText = once(async (text) => {
    const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    try {
      return (await import(address)).default;
    } finally {
      URL.revokeObjectURL(address);
    }
  });

  const addStyle = once((text) => {
    document.head.append(Object.assign(document.createElement("style"), { textContent: text }));
    return true;
  });

  /** What a front-end module receives besides its element. */
  function contextOf(model) {
    const invoke = () => Promise.reject(new Error("there is no kernel on this page"));
    return { model, signal: new AbortController().signal, experimental: { invoke } };
  }

  /** Start one widget: its module, its styles, its model. Shared by all views of that widget. */
  async function startWidget(record) {
    const model = new StaticModel(attributesOf(record));
    const exported = await importText(model.get("_esm"));
    const module = typeof exported === "function" ? await exported() : exported;
    if (model.get("_css")) addStyle(model.get("_css"));
    await module.initialize?.(contextOf(model));
    return { model, module };
  }

  /** Mount one figure; `widgets` gives the started widget of a model id. */
  async function mount(figure, records, widgets) {
    const id = JSON.parse(figure.querySelector(VIEW).textContent).model_id;
    if (records[id]?.model_module !== "anywidget") return refuse(figure, "needs-kernel");
    figure.dataset.state = "loading";
    const element = Object.assign(document.createElement("div"), { className: "widget-view" });
    try {
      const { model, module } = await widgets(id);
      figure.append(element); // in the page before render, which may measure it
      await module.render?.({ el: element, ...contextOf(model) });
      figure.replaceChildren(element);
      figure.dataset.state = "ready";
    } catch (error) {
      element.remove();
      refuse(figure, "error", error);
    }
  }

  /** Say in the page why a figure stays a still image. */
  function refuse(figure, state, error) {
    const text = error ? `${MESSAGES[state]} (${error.message ?? error})` : MESSAGES[state];
    const message = Object.assign(document.createElement("p"), { textContent: text });
    message.className = "widget-message";
    message.setAttribute("role", "status");
    figure.append(message);
    figure.dataset.state = state;
    if (error) console.error(error);
  }

  function start() {
    const holder = document.querySelector(STATE);
    const records = holder ? JSON.parse(holder.textContent).state : {};
    const widgets = once((id) => startWidget(records[id]));
    const nearby = new IntersectionObserver(
      (entries) => {
        for (const { isIntersecting, target } of entries) {
          if (!isIntersecting) continue;
          nearby.unobserve(target);
          mount(target, records, widgets);
        }
      },
      { rootMargin: MOUNT_MARGIN },
    );
    for (const view of document.querySelectorAll(VIEW)) {
      const figure = view.closest(".widget-figure");
      figure.dataset.state = "waiting";
      nearby.observe(figure);
    }
  }

  start(); // the script is deferred: the page is complete
})();
