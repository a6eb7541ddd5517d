// What the pages need besides: buttons that copy, words for screen readers, no second press.
(() => {
    "use strict";

    // One region for the whole page: one that comes and goes is not read out.
    const region = document.createElement("div");
    region.setAttribute("role", "status");
    region.setAttribute("aria-live", "polite");
    region.id = "said";
    region.className = "said";

    const say = (words) => {
        if (region.textContent === words) {
            region.textContent = "";
            requestAnimationFrame(() => { region.textContent = words; });
        } else {
            region.textContent = words;
        }
    };

    const copyByHand = (text) => {
        const field = document.createElement("textarea");
        field.value = text;
        field.className = "said";
        document.body.append(field);
        const focused = document.activeElement;
        field.select();
        const done = document.execCommand("copy");
        field.remove();
        focused?.focus();
        return done;
    };

    const copy = async (text) => {
        // Browsers give the clipboard to https and to this machine only.
        if (navigator.clipboard && window.isSecureContext) {
            try {
                await navigator.clipboard.writeText(text);
                return true;
            } catch {
                return copyByHand(text);
            }
        }
        return copyByHand(text);
    };

    const show = (button, icon) => {
        button.textContent = icon;
        clearTimeout(button.back);
        button.back = setTimeout(() => { button.textContent = "content_copy"; }, 1500);
    };

    document.addEventListener("click", async (event) => {
        const button = event.target.closest?.("button[data-copy]");
        if (!button) {
            return;
        }
        event.preventDefault();
        event.stopPropagation();
        const done = await copy(button.dataset.copy);
        show(button, done ? "check" : "error");
        say(done ? "Copied" : "Could not copy");
    }, true);

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
    });

    // The back button may bring a page back as it was left: pressed.
    window.addEventListener("pageshow", (event) => {
        if (event.persisted && document.querySelector("[data-once]")) {
            window.location.reload();
        }
    });
})();
