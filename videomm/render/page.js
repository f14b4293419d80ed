"use strict";
(() => {
  const view = document.getElementById("view");
  const picture = document.getElementById("view-picture");
  const caption = document.getElementById("view-caption");
  const marks = document.querySelectorAll("[data-scene]");

  function show(number) {
    const chapter = document.querySelector(`button[data-scene="${number}"]`);
    const words = `${chapter.querySelector(".name").textContent}, ${chapter.querySelector(".span").textContent}`;
    picture.src = chapter.querySelector("img").src;
    picture.alt = words;
    caption.textContent = words;
    view.hidden = false;
    for (const mark of marks) {
      mark.setAttribute("aria-pressed", String(mark.dataset.scene === number));
    }
  }

  for (const mark of marks) {
    mark.setAttribute("aria-pressed", "false");
    mark.addEventListener("click", () => {
      show(mark.dataset.scene);
      view.scrollIntoView({ block: "nearest" });
    });
    // Buttons do this by themselves; the shapes of the plot do not.
    if (mark.tagName.toLowerCase() === "g") {
      mark.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          show(mark.dataset.scene);
        }
      });
    }
  }
})();
