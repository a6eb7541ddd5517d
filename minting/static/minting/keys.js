// Forms for a security key: the keyboard opens them too, and what the browser says of a key that does
// not answer stands in words where a person looks.
"use strict";

(() => {
    const words = {
        NotAllowedError: "The browser got no answer of the key. Try again.",
        InvalidStateError: "This key is registered already.",
        SecurityError: "The browser takes keys over HTTPS alone, by the host's name.",
        NotSupportedError: "This key cannot do what is asked of it.",
    };

    // Enter in a form whose answer only the key has: as its button.
    document.addEventListener("submit", (event) => {
        const button = event.target.querySelector("#key-button");
        if (!button) return;
        event.preventDefault();
        button.click();
    });

    document.addEventListener("allauth.error", (event) => {
        const { exception } = event.detail;
        const place = document.getElementById("key-trouble");
        if (!place) return;
        event.preventDefault();
        place.textContent = words[exception.name] ?? "This browser cannot ask for a security key here.";
        place.hidden = false;
    });
})();
