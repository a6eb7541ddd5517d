// A security key that does not answer: what the browser says of it, in words, where a person looks.
"use strict";

(() => {
    const words = {
        NotAllowedError: "The browser got no answer of the key. Try again.",
        InvalidStateError: "This key is registered already.",
        SecurityError: "The browser takes keys over HTTPS alone, by the host's name.",
        NotSupportedError: "This key cannot do what is asked of it.",
    };

    document.addEventListener("allauth.error", (event) => {
        const { exception } = event.detail;
        const place = document.getElementById("key-trouble");
        if (!place) return;
        event.preventDefault();
        place.textContent = words[exception.name] ?? "This browser cannot ask for a security key here.";
        place.hidden = false;
    });
})();
