// Writes every <time> of the page in the browser's zone; UTC stays under the mouse.
// Parts of a page that come later (htmx, the dashboard) are seen by the observer.
(() => {
    "use strict";

    const clock = new Intl.DateTimeFormat("en", {
        year: "numeric", month: "2-digit", day: "2-digit",
        hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
    });
    const zone = clock.resolvedOptions().timeZone;

    const parts = (text) => {
        const found = {};
        for (const { type, value } of clock.formatToParts(new Date(text))) {
            found[type] = value;
        }
        return {
            day: `${found.year}-${found.month}-${found.day}`,
            minute: `${found.hour}:${found.minute}`,
            second: found.second,
        };
    };

    const words = (element) => {
        const from = parts(element.dateTime);
        if (element.dataset.until === undefined) {
            return `${from.day} ${from.minute}:${from.second}`;
        }
        const until = parts(element.dataset.until);
        const end = until.day === from.day ? until.minute : `${until.day} ${until.minute}`;
        return `${from.day} ${from.minute} to ${end}`;
    };

    const write = (element) => {
        if (element.dataset.zone === zone) {
            return;
        }
        element.dataset.zone = zone;
        element.textContent = words(element);
        if (zone !== "UTC") {
            element.title += `; shown in ${zone}`;
        }
    };

    const writeWithin = (root) => {
        if (root.matches?.("time[title]")) {
            write(root);
        }
        root.querySelectorAll?.("time[title]").forEach(write);
    };

    document.addEventListener("DOMContentLoaded", () => {
        writeWithin(document);
        new MutationObserver((changes) => {
            for (const change of changes) {
                change.addedNodes.forEach(writeWithin);
            }
        }).observe(document.body, { childList: true, subtree: true });
    });
})();
