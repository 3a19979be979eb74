// Names come from strangers: text enters the page through textContent alone.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#cc79a7"]; // by cluster, as in wingbar.explain
let state = null;
let busy = false;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const called = (name) => make("bdi", { textContent: name });
const percent = (share) => (share > 0 && share < 0.01 ? "< 1 %" : `${Math.round(100 * share)} %`);

async function ask(address, told) {
  if (busy) return; // a key that is held down decides once
  busy = true;
  try {
    const how = told && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(told) };
    const answer = await fetch(address, how);
    const value = await answer.json();
    $("error").textContent = answer.ok ? "" : value.error;
    if (answer.ok) show(value);
    else if (address !== "api/state") show(await (await fetch("api/state")).json());
  } catch {
    $("error").textContent = "The server cannot be reached: start the review again. What was decided is kept.";
  } finally {
    busy = false;
  }
}

const decide = (decision, label = "") => state?.item && ask("api/decide", { path: state.item.path, decision, label });

function show(value) {
  state = value;
  const { item, counts } = state;
  const named = counts.confirmed + counts.corrected + counts.new;
  $("progress").textContent = `${state.left} of ${state.total} left; ${named} named, ${counts.none} none of these, ${counts.skipped} skipped`;
  $("undo").hidden = !state.undo;
  $("guide").hidden = !state.guide;
  $("done").hidden = item !== null;
  $("result").hidden = item === null;
  $("label").value = "";
  if (document.activeElement === $("label")) $("label").blur();
  if (item === null) return;
  $("path").replaceChildren(called(item.path));
  // A new element: an old one shows the picture before until the next is loaded.
  $("picture").replaceWith(make("img", { id: "picture", alt: $("picture").alt, src: `pictures/${item.number}` }));
  boxes(item);
  const scores = Object.entries(item.scores).sort((one, other) => other[1] - one[1]);
  $("names").replaceChildren(...scores.map(([name, score], i) => choice(name, score, i)));
  $("question").textContent = item.stranger ? "Perhaps none of these. Which is it?" : "Which is it?";
  $("classes").replaceChildren(...state.classes.map((name) => make("option", { value: name })));
  $("alike-title").hidden = item.alike.length === 0;
  $("alike").replaceChildren(...item.alike.map((one) =>
    make("li", {}, make("img", { src: `labelled/${one.number}`, alt: "" }), called(one.label))));
}

function choice(name, score, i) {
  const button = make("button", { className: "bar", type: "button" },
    make("span", {}, called(name), ` (${i === 0 ? "Enter" : i + 1})`), make("span", { className: "share", textContent: percent(score) }));
  button.style.setProperty("--share", `${100 * score}%`);
  button.addEventListener("click", () => decide("label", name));
  return make("li", {}, button);
}

function boxes(item) {
  const [width, height] = item.size;
  $("frame").style.aspectRatio = `${width} / ${height}`;
  $("boxes").setAttribute("viewBox", `0 0 ${width} ${height}`);
  const all = [[item.object_box, "#ffffff"], ...item.parts.map((part) => [part.box, COLOURS[part.cluster % COLOURS.length]])];
  $("boxes").replaceChildren(...all.flatMap(([[x1, y1, x2, y2], colour]) => ["edge", "line"].map((kind) => {
    const box = document.createElementNS(SVG, "rect");
    const sides = { x: x1, y: y1, width: x2 - x1, height: y2 - y1, class: kind };
    for (const [name, value] of Object.entries(sides)) box.setAttribute(name, value);
    box.style.setProperty("--colour", colour);
    return box;
  })));
}

$("none").addEventListener("click", () => decide("none"));
$("skip").addEventListener("click", () => decide("skipped"));
$("undo").addEventListener("click", () => ask("api/undo", {}));
$("other").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("label").value.trim()) decide("label", $("label").value);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target === $("label")) {
    if (event.key === "Escape") $("label").blur();
    return;
  }
  if (event.key === "Enter" && event.target.closest("a, button")) return; // the button's own, the link's own
  const names = [...$("names").querySelectorAll("button")];
  const number = event.key === "Enter" ? 1 : Number(event.key);
  const keys = { n: () => decide("none"), s: () => decide("skipped"), u: () => state?.undo && ask("api/undo", {}), "/": () => $("label").focus() };
  const act = number >= 1 && number <= names.length ? () => names[number - 1].click() : keys[event.key];
  if (!act || (state?.item === null && event.key !== "u")) return;
  event.preventDefault();
  act();
});

ask("api/state");
