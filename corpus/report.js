"use strict";
// Draws the figures of the page in the colours of its style sheet, again when the reader's colour scheme changes.
const figures = JSON.parse(document.getElementById("figures").textContent);

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const copy = structuredClone(layout);
  copy.paper_bgcolor = copy.plot_bgcolor = "rgba(0,0,0,0)";
  copy.font = { family: style.fontFamily, size: 12, color: colour("--ink-soft") };
  copy.hoverlabel = { bgcolor: colour("--panel"), bordercolor: colour("--line"), font: { color: colour("--ink") } };
  for (const axis of ["xaxis", "yaxis"]) {
    copy[axis] = { gridcolor: colour("--line"), linecolor: colour("--line"), tickcolor: colour("--line"), ...copy[axis] };
  }
  return copy;
}

function draw() {
  for (const [name, figure] of Object.entries(figures)) {
    const options = { responsive: true, displayModeBar: false };
    Plotly.react(document.getElementById("figure-" + name), structuredClone(figure.data), themed(figure.layout), options);
  }
  document.documentElement.dataset.drawn = "yes";
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
