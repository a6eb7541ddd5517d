"""Long values that people carry elsewhere: their ends, and a button that copies the whole."""

from __future__ import annotations

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString


def button(text: str, what: str) -> SafeString | str:
    """A button that puts ``text`` on the clipboard; ``minting/static/minting/copy.js`` does it.

    Args:
        text: What is copied.
        what: What it is, in words: "signature", "wallet".
    """
    if not text:
        return ""
    return format_html(
        '<button type="button" class="gt-copy" data-copy="{}" title="{}" aria-label="{}">'
        '<span class="material-symbols-outlined" aria-hidden="true">content_copy</span></button>',
        text,
        told := f"Copy the {what}",
        told,
    )


def short(text: str) -> str:
    """The ends of what nobody reads whole."""
    return text if len(text) <= 16 else f"{text[:8]}…{text[-4:]}"


def shortened(text: str) -> SafeString | str:
    """The same, with the whole under the mouse."""
    return format_html('<span title="{}">{}</span>', text, short(text)) if text else ""


def together(*parts: SafeString | str) -> SafeString:
    """A value and its buttons on one line that does not break."""
    shown = format_html_join("", "{}", ((part,) for part in parts if part))
    return format_html('<span class="gt-value">{}</span>', shown)
