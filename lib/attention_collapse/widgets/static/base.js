// What makes a widget of the book: `defineWidget` turns its description into the `render` that
// JupyterLab, Colab and the static page all call with { model, el }. It redraws when the model,
// the width or the theme changes, keeps the state in the address of a static page, and shows a
// message in place of a blank. Python joins this file with the widget's other files into one
// module without imports.

/**
 * - `className`: CSS class of the root element.
 * - `redrawOn`: traits that change the picture.
 * - `addressKeys`: traits, numbers or words, that travel in the address of the static page, or a
 *   function of the model that names them.
 * - `check(model, given)`: throws a RangeError where the model with the `given` values of
 *   `addressKeys` cannot be drawn.
 * - `build({ model, link })`: returns { content, draw, forget, dispose }. `link` is the button
 *   that copies the address, or null where a kernel owns the state. `forget` drops what was read
 *   from the page, sizes and colours: it is called when the width or the theme has changed.
 */
function defineWidget(description) {
  return { render: ({ model, el }) => mount(description, model, el) };
}

function mount({ className, redrawOn, addressKeys, check, build }, model, el) {
  const root = element("div", { class: `book-widget ${className}` });
  const messages = messageArea(model);
  const undo = [messages.dispose, () => root.remove()];
  const guarded = (run) => () => {
    try {
      run();
      messages.fail(null);
    } catch (error) {
      messages.fail(error);
    }
  };
  root.append(messages.alert, messages.status);
  el.append(root);
  guarded(() => {
    const keys = typeof addressKeys === "function" ? addressKeys(model) : addressKeys;
    const address = onStaticPage()
      ? followAddress({ model, root, keys, check, say: messages.say })
      : null;
    if (address) undo.push(address.dispose);
    const { content, draw, forget, dispose } = build({ model, link: address?.button ?? null });
    undo.push(dispose, redraw({ model, root, names: redrawOn, forget, draw: guarded(draw) }));
    messages.alert.after(content);
    if (root.isConnected) draw(); // JupyterLab adds it to the page later: the width then changes
    if (address?.followed) root.scrollIntoView();
  })();
  return () => undo.forEach((step) => step());
}

function requireThat(condition, message) {
  if (!condition) throw new RangeError(`${message}.`);
}

/** Listen to several traits; returns how to stop. */
function listen(model, names, listener) {
  for (const name of names) model.on(`change:${name}`, listener);
  return () => {
    for (const name of names) model.off(`change:${name}`, listener);
  };
}

/** Two lines, above a widget what went wrong and below it what it is doing. */
function messageArea(model) {
  const status = element("div", { class: "book-widget-status", role: "status" });
  const alert = element("div", { class: "book-widget-error", role: "alert" });
  const show = (line, text) => {
    line.textContent = text;
    line.hidden = !text;
  };
  let failure = "";
  const showError = () => show(alert, failure || model.get("error"));
  const showMessage = () => show(status, model.get("message"));
  const stop = [listen(model, ["error"], showError), listen(model, ["message"], showMessage)];
  showError();
  showMessage();
  return {
    status,
    alert,
    say: (text) => show(status, text),
    fail(error) {
      failure = error ? `This figure cannot be drawn: ${error.message}` : "";
      showError();
    },
    dispose: () => stop.forEach((each) => each()),
  };
}

/** Redraw, at most once per animation frame, on a change of trait, width or theme. */
function redraw({ model, root, names, forget, draw }) {
  let frame = 0;
  const ask = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      draw();
    });
  };
  const renew = () => {
    forget();
    ask();
  };
  const width = new ResizeObserver(renew);
  width.observe(root);
  const stop = [listen(model, names, ask), onThemeChange(renew)];
  return () => {
    stop.forEach((each) => each());
    width.disconnect();
    cancelAnimationFrame(frame);
  };
}

/** Call `changed` when the page turns dark or light; returns how to stop. */
function onThemeChange(changed) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(changed);
  const attributeFilter = ["data-theme", "theme", "data-jp-theme-light"];
  observer.observe(document.documentElement, { attributeFilter });
  observer.observe(document.body, { attributeFilter });
  dark.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    dark.removeEventListener("change", changed);
  };
}

/** Whether no kernel owns the state: a static page has the state of its widgets embedded. */
const onStaticPage = () =>
  document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]') !== null;

/**
 * The state of one widget in the fragment of the address: #name?depth=24&frames=512.
 *
 * A fragment that starts with another name belongs to a heading or to another widget. The widget
 * touched last owns the fragment.
 */
function fragmentState(model, keys) {
  const owner = `#${model.get("fragment")}?`;
  const parse = (pair) => {
    const [key, written = ""] = pair.split("=");
    if (!keys.includes(key)) throw new RangeError(`"${key}" is not one of ${keys.join(", ")}.`);
    const text = decodeURIComponent(written);
    if (typeof model.get(key) === "string") return [key, text];
    const numbers = text.split(",").map((each) => Number(each || NaN));
    return [key, Array.isArray(model.get(key)) ? numbers : numbers[0]];
  };
  return {
    read() {
      if (!location.hash.startsWith(owner)) return null;
      return Object.fromEntries(location.hash.slice(owner.length).split("&").map(parse));
    },
    write() {
      const pairs = keys.map((key) => `${key}=${[model.get(key)].flat().join(",")}`);
      history.replaceState(history.state, "", owner + pairs.join("&"));
    },
  };
}

const ADDRESS_DELAY = 250; // ms: browsers limit how often a page may change its address

/** Tie the model to the address of the page, both ways. */
function followAddress({ model, root, keys, check, say }) {
  const fragment = fragmentState(model, keys);
  const read = () => {
    try {
      const given = fragment.read();
      if (!given) return false;
      check(model, given);
      assign(model, given);
      say("");
      return true;
    } catch (error) {
      say(`The link was not followed: ${error.message}`);
      return false;
    }
  };
  const followed = read();
  const follow = () => {
    if (read()) root.scrollIntoView();
  };
  let timer = 0;
  const stop = listen(model, keys, () => {
    clearTimeout(timer);
    timer = setTimeout(fragment.write, ADDRESS_DELAY);
  });
  addEventListener("hashchange", follow);
  const dispose = () => {
    stop();
    clearTimeout(timer);
    removeEventListener("hashchange", follow);
  };
  return { followed, button: linkButton(fragment, say), dispose };
}
