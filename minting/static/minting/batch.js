// A batch's page keeps itself up to date, without being loaded again.
//
// Every second it asks for a few numbers (data-live) and writes them where they stand. When these say
// that the rest of the page has changed, it asks for that too (data-details), and spends no more than
// a twentieth of its time on it. It asks less often while nothing moves, not at all while nobody looks,
// and never again once the batch is over.
"use strict";

(() => {
    const SHORTEST_MS = 1000;
    const LONGEST_MS = 10000;
    const SLOWER = 1.5;
    const PATIENCE_MS = 10000;
    const DETAILS_MS = 2000;
    const DETAILS_SHARE = 20;

    const statusOf = (version) => version.split(".", 1)[0];

    class LoggedOut extends Error {}

    async function ask(url, kind) {
        const answer = await fetch(url, {
            credentials: "same-origin",
            headers: { "X-Requested-With": "XMLHttpRequest" },
            signal: AbortSignal.timeout(PATIENCE_MS),
        });
        if (answer.redirected || answer.status === 403) throw new LoggedOut();
        if (!answer.ok) throw new Error(`${answer.status}`);
        return kind === "json" ? answer.json() : answer.text();
    }

    class BatchPage {
        constructor(root) {
            this.root = root;
            this.details = document.getElementById(root.dataset.detailsId);
            this.version = root.dataset.version;
            this.shown = root.dataset.version;
            this.wait = SHORTEST_MS;
            this.detailsAfter = 0;
            this.lost = null;
            this.timer = null;
            this.busy = false;
        }

        start() {
            if (this.root.dataset.over === "true") return;
            document.addEventListener("visibilitychange", () => this.look());
            this.later();
        }

        later() {
            clearTimeout(this.timer);
            if (!document.hidden) this.timer = setTimeout(() => this.turn(), this.wait);
        }

        // Whoever comes back sees at once how it stands.
        look() {
            clearTimeout(this.timer);
            if (!document.hidden && !this.done && !this.busy) this.turn();
        }

        async turn() {
            this.busy = true;
            try {
                const seen = await ask(this.root.dataset.live, "json");
                this.write(seen);
                await this.follow(seen);
                this.found();
                this.done = seen.over && this.shown === seen.version;
            } catch (error) {
                this.missed(error);
            }
            this.busy = false;
            if (!this.done) this.later();
        }

        write(seen) {
            for (const [name, html] of Object.entries(seen.values)) {
                for (const place of this.root.querySelectorAll(`[data-value="${name}"]`)) {
                    // Only what changed: what is read aloud is not read again.
                    if (place.dataset.html === html) continue;
                    place.dataset.html = html;
                    place.innerHTML = html;
                    place.closest("[data-with]")?.toggleAttribute("hidden", html === "");
                }
            }
            for (const [name, percent] of Object.entries(seen.bars)) {
                const part = this.root.querySelector(`[data-bar="${name}"]`);
                if (part) part.style.width = `${percent}%`;
            }
            const bar = this.root.querySelector("[role=progressbar]");
            bar?.setAttribute("aria-valuenow", seen.done);
            bar?.setAttribute("aria-valuetext", seen.sentence);
            this.root.dataset.over = seen.over;
            this.wait = seen.version === this.version
                ? Math.min(this.wait * SLOWER, LONGEST_MS)
                : SHORTEST_MS;
            this.version = seen.version;
        }

        async follow(seen) {
            // How a batch ends is seen at once, however dear its page is.
            const moved = statusOf(seen.version) !== statusOf(this.shown);
            const due = moved || performance.now() >= this.detailsAfter;
            if (!this.details || seen.version === this.shown || !due) return;
            const began = performance.now();
            const html = await ask(this.root.dataset.details, "html");
            const took = performance.now() - began;
            this.detailsAfter = performance.now() + Math.max(DETAILS_MS, took * DETAILS_SHARE);
            this.replace(html);
            this.shown = seen.version;
        }

        // What a person opened stays open, and where the keyboard was, it stays.
        replace(html) {
            const open = [...this.details.querySelectorAll("details[open][id]")].map((each) => each.id);
            const focus = this.details.contains(document.activeElement)
                ? document.activeElement.getAttribute("data-key") || document.activeElement.getAttribute("href")
                : null;
            this.details.innerHTML = html;
            for (const id of open) document.getElementById(id)?.setAttribute("open", "");
            if (focus === null) return;
            [...this.details.querySelectorAll("[data-key], a[href]")]
                .find((each) => [each.getAttribute("data-key"), each.getAttribute("href")].includes(focus))
                ?.focus({ preventScroll: true });
        }

        found() {
            this.lost = null;
            this.tell("");
        }

        missed(error) {
            if (error instanceof LoggedOut) {
                this.done = true;
                this.tell("You are logged out, or may not see this batch any more: load the page again.");
                return;
            }
            this.lost ??= new Date();
            this.wait = Math.min(this.wait * SLOWER, LONGEST_MS);
            const since = this.lost.toLocaleTimeString("en", { hourCycle: "h23" });
            this.tell(`No connection since ${since}. The batch goes on without this page, which keeps trying.`);
        }

        tell(words) {
            const place = this.root.querySelector("[data-connection]");
            if (!place || place.textContent === words) return;
            place.textContent = words;
            place.hidden = words === "";
        }
    }

    document.addEventListener("DOMContentLoaded", () => {
        const root = document.getElementById("batch-live");
        if (root) new BatchPage(root).start();
    });
})();
