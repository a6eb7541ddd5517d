// What unfold draws for the mouse alone: within reach of the keyboard, and with words to be read out.
(() => {
    "use strict";

    const CLICKED = "span, h2, div.cursor-pointer, a:not([href])";
    const CONTROL = "a, button, [role=button]";
    const ICON = ".material-symbols-outlined";

    // Of buttons that show an icon and nothing else.
    const NAMES = {
        arrow_back: "Go back",
        close: "Close the menu",
        dock_to_right: "Show or hide the menu",
        search: "Search",
    };

    const words = (control) => {
        const copy = control.cloneNode(true);
        copy.querySelectorAll(ICON).forEach((icon) => icon.remove());
        return copy.matches(ICON) ? "" : copy.textContent.trim();
    };

    // The name of an icon is no word for people.
    const speak = (icon) => {
        const control = icon.closest(CONTROL);
        if (control && !control.ariaLabel && !control.title && !words(control)) {
            const name = icon.textContent.trim();
            control.ariaLabel = NAMES[name] ?? name.replaceAll("_", " ");
        }
        if (icon !== control) {
            icon.ariaHidden = "true";
        }
    };

    const reach = (root) => {
        const all = [root, ...root.querySelectorAll("*")];
        for (const element of all) {
            if (element.hasAttribute("x-on:click") && element.matches(CLICKED)) {
                element.setAttribute("role", "button");
                element.tabIndex = 0;
            }
        }
        all.filter((element) => element.matches(ICON)).forEach(speak);
        // A box that select2 draws in place of a field is called as the field is.
        for (const box of root.querySelectorAll(".select2-selection")) {
            const field = box.closest(".select2")?.previousElementSibling;
            box.ariaLabel = field?.labels?.[0]?.textContent.trim() ?? "Choose";
            box.querySelector("[role=textbox]")?.setAttribute("aria-label", box.ariaLabel);
        }
        root.querySelectorAll("thead th:not([scope])").forEach((cell) => { cell.scope = "col"; });
    };

    document.addEventListener("keydown", (event) => {
        const { key, target } = event;
        if ([" ", "Enter"].includes(key) && target.matches?.("[role=button]:not(a[href], button)")) {
            event.preventDefault();
            target.click();
        }
    });

    document.addEventListener("DOMContentLoaded", () => {
        document.getElementById("main")?.setAttribute("role", "main");
        reach(document.body);
        new MutationObserver((changes) => {
            for (const { addedNodes } of changes) {
                [...addedNodes].filter((node) => node.nodeType === Node.ELEMENT_NODE).forEach(reach);
            }
        }).observe(document.body, { childList: true, subtree: true });
    });
})();
