// Names come from strangers: text enters the page through textContent alone.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const OBJECT_COLOUR = "#ffffff";
const PART_COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#cc79a7"]; // by cluster, as in wingbar.explain
const known = { classes: new Map(), limits: { bytes: Infinity } };
let asking = new AbortController();
let address = "";

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function draw(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const percent = (share) => (share > 0 && share < 0.01 ? "< 1 %" : `${Math.round(100 * share)} %`);
// bdi keeps a name that turns the writing direction from turning its neighbours.
const called = (name) => make("bdi", { className: "name", textContent: shown(name) });
const shown = (name) => known.classes.get(name)?.shown ?? name;
const SEVERAL = 5;  // candidates that are listed
const listed = (names) => names.flatMap((name, i) => (i ? [", ", called(name)] : [called(name)]));
const ranked = (scores) => Object.entries(scores).sort((one, other) => other[1] - one[1]);

function bar(tag, name, share) {
  const element = make(tag, { className: "bar" }, called(name), make("span", { className: "share", textContent: percent(share) }));
  element.style.setProperty("--share", `${100 * share}%`);
  return element;
}

// What the server knows; a picture that is dropped before that is here waits for it.
const ready = fetch("api/classes").then((answer) => answer.json()).then((result) => {
  for (const one of result.classes) known.classes.set(one.name, one);
  known.limits = result.limits;
  $("known").textContent = `The model knows ${result.classes.length} classes and no others: it gives every picture one of them.`;
  $("guide").hidden = !result.guide;
  $("review").hidden = !result.review;
  if (result.review) $("review").href = result.review;
}).catch(() => fail("The server cannot be reached. Load the page again."));

// ---- asking -------------------------------------------------------------------------------------------------

async function look(file) {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  say("Looking …");
  fail("");
  $("result").hidden = true;
  await ready;
  if (file.size > known.limits.bytes) {
    return fail(`The picture is larger than ${Math.floor(known.limits.bytes / 2 ** 20)} MiB; send a smaller one, or start the page by wingbar serve --max-megabytes.`);
  }
  try {
    const headers = { "Content-Type": file.type || "application/octet-stream" };
    const answer = await fetch("api/predict", { method: "POST", body: file, headers, signal });
    const result = await answer.json();
    if (signal.aborted) return;
    if (!answer.ok) return fail(result.error);
    show(file, result);
  } catch (error) {
    if (!signal.aborted) fail("The server cannot be reached, or hung up. Try again.");
  }
}

function say(text, ...more) {
  $("status").replaceChildren(text, ...more);
}

function fail(text) {
  $("error").textContent = text;
  if (text) say("");
}

// ---- showing ------------------------------------------------------------------------------------------------

function show(file, result) {
  URL.revokeObjectURL(address);
  address = URL.createObjectURL(file);
  document.body.classList.add("seen");
  $("result").hidden = false;
  $("picture").hidden = false;
  $("unshown").hidden = true;
  $("picture").src = address;
  const [width, height] = result.size;
  $("frame").style.aspectRatio = `${width} / ${height}`;
  $("frame").style.maxWidth = `calc(75vh * ${width / height})`;
  drawHeat(result.map, width, height);
  drawBoxes(result);
  drawLegend(result);
  $("part").replaceChildren();
  $("names").replaceChildren(...ranked(result.scores).map(([name, share]) => {
    const button = bar("button", name, share);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => compare(name, button));
    return make("li", {}, button);
  }));
  compare(result.label, $("names").querySelector("button"));
  const parts = result.parts.length;
  const marked = `The object and ${parts} telling part${parts === 1 ? "" : "s"} are marked.`;
  const several = result.candidates ?? [];
  const answer = result.answer && result.answer.name !== result.label ? ` ${result.answer.text}` : "";
  if (result.stranger) {
    say("Probably none of the classes. It looks most like ", called(result.label), `. ${marked}`);
  } else if (several.length > 1 && several.length <= SEVERAL) {
    say("", called(result.label), `, ${percent(result.score)}. Nine times in ten one of: `, ...listed(several), `.${answer} ${marked}`);
  } else {
    say("", called(result.label), `, ${percent(result.score)}.${answer} ${marked}`);
  }
}

function drawHeat(map, width, height) {
  // The picture darkened where the net did not look: each value is one pixel, and the canvas smooths between them.
  const small = make("canvas", { width: map[0].length, height: map.length });
  const pixels = new ImageData(small.width, small.height);
  map.flat().forEach((value, i) => { pixels.data[4 * i + 3] = 217 * (1 - value); });
  small.getContext("2d").putImageData(pixels, 0, 0);
  const canvas = $("heat");
  canvas.hidden = true;
  [canvas.width, canvas.height] = [400, Math.max(1, Math.round((400 * height) / width))];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

function box([x1, y1, x2, y2], colour, id, label, unit) {
  const group = draw("g", { id });
  group.style.setProperty("--colour", colour);
  const place = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
  for (const kind of ["edge", "line"]) group.append(draw("rect", { ...place, class: kind }));
  if (label) {
    const text = draw("text", { x: x1 + 0.3 * unit, y: y1 + 1.1 * unit, "font-size": unit, "stroke-width": unit / 5 });
    text.textContent = label;
    const hit = draw("rect", { ...place, class: "hit" });
    hit.addEventListener("click", () => $(`choose-${id}`).click());
    group.append(text, hit);
  }
  return group;
}

const colourOf = (part) => PART_COLOURS[part.cluster % PART_COLOURS.length];

function drawBoxes(result) {
  const [width, height] = result.size;
  $("boxes").setAttribute("viewBox", `0 0 ${width} ${height}`);
  $("boxes").replaceChildren(
    box(result.object_box, OBJECT_COLOUR, "object"),
    ...result.parts.map((part, i) => box(part.box, colourOf(part), `part-${i}`, String(i + 1), Math.max(width, height) / 22)),
  );
}

function toggle(text, colour, pressed, act) {
  const button = make("button", { textContent: text, className: "toggle" });
  button.style.setProperty("--colour", colour);
  button.setAttribute("aria-pressed", String(pressed));
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    act(on);
  });
  return button;
}

function drawLegend(result) {
  const chips = result.parts.map((part, i) => {
    const button = make("button", { id: `choose-part-${i}`, textContent: `Part ${i + 1}` });
    button.style.setProperty("--colour", colourOf(part));
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => choosePart(button.getAttribute("aria-pressed") === "true" ? null : i, result));
    return button;
  });
  $("legend").replaceChildren(
    toggle("Object", OBJECT_COLOUR, true, (on) => $("object").classList.toggle("off", !on)),
    ...chips,
    toggle("Where it looked", "#808080", false, (on) => { $("heat").hidden = !on; }),
  );
}

function choosePart(chosen, result) {
  result.parts.forEach((_, i) => {
    $(`choose-part-${i}`).setAttribute("aria-pressed", String(i === chosen));
    $(`part-${i}`).classList.toggle("chosen", i === chosen);
  });
  if (chosen === null) return $("part").replaceChildren();
  const rows = ranked(result.parts[chosen].scores).map(([name, share]) => make("li", {}, bar("div", name, share)));
  $("part").replaceChildren(make("h3", { textContent: `Part ${chosen + 1} alone speaks for` }), make("ol", {}, ...rows));
}

function compare(name, button) {
  for (const other of $("names").querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
  const { index, examples, guide } = known.classes.get(name);
  const title = make("h3", {}, examples ? "Compare with " : "", called(name));
  const pictures = Array.from({ length: examples }, (_, i) =>
    make("img", { src: `examples/${index}/${i}`, alt: `Example ${i + 1} of ${shown(name)}`, loading: "lazy" }));
  const more = guide ? [make("p", {}, make("a", { href: guide }, called(name), " in the field guide"))] : [];
  $("examples").replaceChildren(...(examples || guide ? [title] : []), make("div", { id: "pictures" }, ...pictures), ...more);
}

// ---- the page's own life ------------------------------------------------------------------------------------

for (const input of [$("choose"), $("photograph")]) {
  input.addEventListener("change", () => {
    if (input.files.length) look(input.files[0]);
    input.value = ""; // the same picture may be chosen again
  });
}
$("picture").addEventListener("error", () => {
  $("picture").hidden = true;
  $("unshown").hidden = false;
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) look(event.clipboardData.files[0]);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", () => document.body.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  if (event.dataTransfer.files.length) look(event.dataTransfer.files[0]);
  else fail("Drop a picture file; a link or a text cannot be looked at.");
});
