// Buttons that copy: <button class="gt-copy" data-copy="…">. One listener for all there will be.
"use strict";

(() => {
    const TOLD_MS = 1500;

    async function copy(text) {
        if (navigator.clipboard && window.isSecureContext) {
            await navigator.clipboard.writeText(text);
            return;
        }
        // Plain HTTP has no clipboard of its own; a selection can still be copied.
        const field = document.createElement("textarea");
        field.value = text;
        field.setAttribute("readonly", "");
        field.className = "gt-copy-field";
        document.body.append(field);
        field.select();
        const copied = document.execCommand("copy");
        field.remove();
        if (!copied) throw new Error("not copied");
    }

    function tell(button, word, icon) {
        const shown = button.querySelector(".material-symbols-outlined");
        const name = button.dataset.name || button.getAttribute("aria-label") || "Copy";
        button.dataset.name = name;
        button.setAttribute("aria-label", word);
        document.dispatchEvent(new CustomEvent("gt:say", { detail: word }));
        if (shown) shown.textContent = icon;
        clearTimeout(button.told);
        button.told = setTimeout(() => {
            button.setAttribute("aria-label", name);
            if (shown) shown.textContent = "content_copy";
        }, TOLD_MS);
    }

    document.addEventListener("click", (event) => {
        const button = event.target.closest?.(".gt-copy");
        if (!button) return;
        event.preventDefault();
        event.stopPropagation();
        copy(button.dataset.copy).then(
            () => tell(button, "Copied", "check"),
            () => tell(button, "Could not copy", "error"),
        );
    });
})();
