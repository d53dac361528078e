(function () {
  "use strict";
  // Functions and values are anchored within their service or enum.
  var within = { "function": "service", "value": "enum" };
  var all = [];
  INDEX.forEach(function (file) {
    file[2].forEach(function (entry) {
      var anchor = (within[entry[0]] || entry[0]) + "." + entry[1];
      all.push({ kind: entry[0], name: entry[1], file: file[1], href: file[0] + "#" + anchor });
    });
  });
  var most = 100;
  var box = document.getElementById("search"), found = document.getElementById("found");
  function rank(entry, text) {
    var name = entry.name.toLowerCase(), last = name.slice(name.lastIndexOf(".") + 1);
    return last === text ? 0 : last.indexOf(text) === 0 ? 1 : name.indexOf(text) >= 0 ? 2 : -1;
  }
  function show() {
    var text = box.value.trim().toLowerCase();
    found.textContent = "";
    if (!text) { return; }
    var hits = [];
    all.forEach(function (entry, at) {
      var of = rank(entry, text);
      if (of >= 0) { hits.push([of, at, entry]); }
    });
    hits.sort(function (one, other) { return one[0] - other[0] || one[1] - other[1]; });
    hits.slice(0, most).forEach(function (hit) {
      var item = document.createElement("li"), link = document.createElement("a"), place = document.createElement("span");
      link.href = hit[2].href;
      link.textContent = hit[2].name;
      place.className = "place";
      place.textContent = " " + hit[2].kind + ", " + hit[2].file;
      item.append(link, place);
      found.append(item);
    });
    if (hits.length === 0 || hits.length > most) {
      var rest = document.createElement("li");
      rest.className = "place";
      rest.textContent = hits.length ? "and " + (hits.length - most) + " more" : "no definition with this name";
      found.append(rest);
    }
  }
  box.hidden = false;
  box.addEventListener("input", show);
  box.addEventListener("keydown", function (event) {
    var first = found.querySelector("a");
    if (event.key === "Enter" && first) { location.href = first.href; box.value = ""; show(); }
    if (event.key === "Escape") { box.value = ""; show(); }
  });
  found.addEventListener("click", function (event) {
    if (event.target.href) { box.value = ""; setTimeout(show); }
  });
  document.addEventListener("keydown", function (event) {
    if (event.key === "/" && document.activeElement !== box) { event.preventDefault(); box.focus(); }
  });
  show();
})();
