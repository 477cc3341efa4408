// Small words for elements of the page.

/** The element of an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Make an element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Show a sentence, or hide its place where it is empty. */
export function show(element, sentence) {
  element.textContent = sentence;
  element.hidden = sentence === "";
}

/** Draw values as a line into an SVG of 100 x 24, between two values. */
export function drawLine(svg, values, low, high) {
  const known = values.map((value, i) => [i, value]).filter(([, value]) => value !== null);
  const wide = Math.max(values.length - 1, 1);
  const points = known.map(([i, value]) => {
    const part = Math.min(Math.max((value - low) / (high - low), 0), 1);
    return `${((100 * i) / wide).toFixed(2)},${(23 - 22 * part).toFixed(2)}`;
  });
  svg.querySelector("polyline").setAttribute("points", points.join(" "));
}
