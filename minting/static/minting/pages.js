// Words for screen readers, the focus where it belongs, and no second press.
(() => {
    "use strict";

    // One region for the whole page: one that comes and goes is not read out.
    const region = document.createElement("div");
    region.setAttribute("role", "status");
    region.setAttribute("aria-live", "polite");
    region.id = "said";
    region.className = "gt-said";

    const say = (words) => {
        if (region.textContent === words) {
            region.textContent = "";
            requestAnimationFrame(() => { region.textContent = words; });
        } else {
            region.textContent = words;
        }
    };

    document.addEventListener("gt:say", (event) => say(event.detail));

    // What changes by itself says so in words, each time the words are others.
    const hear = () => {
        const words = document.querySelector("[data-say]")?.dataset.say;
        if (words && words !== region.dataset.heard) {
            region.dataset.heard = words;
            say(words);
        }
    };

    document.addEventListener("DOMContentLoaded", () => {
        document.body.append(region);
        hear();
        document.body.addEventListener("htmx:afterSettle", hear);
        // Led elsewhere (the session is over): as a whole, rather than a hole in the page.
        document.body.addEventListener("htmx:beforeSwap", (event) => {
            const { xhr, pathInfo } = event.detail;
            const here = window.location.pathname;
            const path = (url) => new URL(url, window.location).pathname;
            if (path(pathInfo.requestPath) === here && path(xhr.responseURL || here) !== here) {
                event.detail.shouldSwap = false;
                window.location.reload();
            }
        });
    });

    // Until Alpine has shown the page, the browser finds nothing there to put the focus on.
    document.addEventListener("alpine:initialized", () => requestAnimationFrame(() => {
        if (document.activeElement === document.body) {
            document.querySelector("[autofocus]")?.focus();
        }
    }));

    // The back button may bring a page back as it was left: pressed.
    window.addEventListener("pageshow", (event) => {
        if (event.persisted && document.querySelector("[data-once]")) {
            window.location.reload();
        }
    });
})();
