// Keeps each part of the dashboard up to date by itself: none waits for another, none is asked
// twice at once, and nothing is asked while nobody looks.
(() => {
    "use strict";

    const PATIENCE = 8000; // milliseconds for one answer
    const parts = [...document.querySelectorAll("[data-part]")].map((element) => ({
        element,
        inside: element.querySelector(".part-inside"),
        trouble: element.querySelector(".part-trouble"),
        every: Number(element.dataset.seconds) * 1000,
        asking: false,
        failingSince: null,
        timer: null,
    }));

    // A chart that is drawn stays, and gets the new numbers.
    const keepCharts = (old, fresh) => {
        const drawn = [...old.querySelectorAll("canvas.chart")];
        const wanted = [...fresh.querySelectorAll("canvas.chart")];
        if (drawn.length !== wanted.length) {
            return drawn.length === 0 && wanted.length === 0;
        }
        wanted.forEach((canvas, at) => {
            const chart = Chart.getChart(drawn[at]);
            const data = JSON.parse(canvas.dataset.value);
            chart.data.labels = data.labels;
            data.datasets.forEach((row, number) => {
                chart.data.datasets[number].data = row.data;
            });
            canvas.parentElement.replaceWith(drawn[at].parentElement);
            chart.update();
        });
        return true;
    };

    const keepOpen = (old, fresh) => {
        const open = [...old.querySelectorAll("details")].map((each) => each.open);
        fresh.querySelectorAll("details").forEach((each, at) => {
            each.open = open[at] ?? false;
        });
    };

    const swap = (part, text) => {
        if (part.shown === text) {
            return;
        }
        part.shown = text;
        const fresh = document.createElement("div");
        fresh.innerHTML = text;
        const focused = part.inside.contains(document.activeElement)
            ? document.activeElement.getAttribute("href")
            : null;
        keepOpen(part.inside, fresh);
        const known = keepCharts(part.inside, fresh);
        part.inside.replaceChildren(...fresh.childNodes);
        if (!known) {
            location.reload(); // the first chart: unfold draws it
        }
        if (focused !== null) {
            part.inside.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
        }
    };

    const tell = (part, failed) => {
        if (!failed) {
            part.failingSince = null;
            part.trouble.hidden = true;
            part.inside.classList.remove("stale");
            return;
        }
        part.failingSince ??= new Date();
        const since = part.failingSince.toLocaleTimeString("en", { hourCycle: "h23" });
        part.trouble.textContent = `This part could not be refreshed since ${since}; it is tried again.`;
        part.trouble.hidden = false;
        part.inside.classList.add("stale");
    };

    const refresh = async (part) => {
        if (part.asking) {
            return;
        }
        part.asking = true;
        clearTimeout(part.timer);
        try {
            const answer = await fetch(part.element.dataset.url, {
                headers: { "X-Requested-With": "XMLHttpRequest" },
                signal: AbortSignal.timeout(PATIENCE),
            });
            if (answer.redirected) {
                location.reload(); // logged out: the page leads to the login
                return;
            }
            if (!answer.ok) {
                throw new Error(String(answer.status));
            }
            swap(part, await answer.text());
            tell(part, false);
        } catch {
            tell(part, true);
        } finally {
            part.asking = false;
            plan(part);
        }
    };

    const plan = (part) => {
        clearTimeout(part.timer);
        if (!document.hidden) {
            part.timer = setTimeout(() => refresh(part), part.every);
        }
    };

    document.addEventListener("visibilitychange", () => {
        for (const part of parts) {
            if (document.hidden) {
                clearTimeout(part.timer);
            } else {
                refresh(part);
            }
        }
    });

    for (const part of parts) {
        if (part.inside.querySelector("[data-waiting]")) {
            refresh(part);
        } else {
            plan(part);
        }
    }
})();
