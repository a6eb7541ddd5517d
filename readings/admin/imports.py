"""Files that were brought: upload, look, decide, follow."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.decorators import action, display

from readings import formats, imports
from readings.admin.base import person
from readings.admin.import_forms import (
    DecisionForm,
    OptionsForm,
    RegistryOptionsForm,
    UploadForm,
)
from readings.admin.import_story import badge, format_words, moment, size, story
from readings.admin.lists import ListAdmin
from readings.admin.registry_export import FORMATS, registry_file
from readings.errors import FileRefused
from readings.formats import Options
from readings.imports import content
from readings.imports.nudges import ask_for_work
from readings.imports.options import options_of
from readings.models import ImportFile
from readings.models.import_file import ImportKind, ImportStatus, PartKind

IN_PLACE = 200_000
"""Bytes up to which a file is read and taken while the person waits; a worker does larger ones."""

RIGHTS = {
    ImportKind.READINGS: ("readings.import_readings",),
    ImportKind.REGISTRY: (
        "readings.add_owner",
        "readings.change_owner",
        "readings.add_wallet",
        "readings.add_meter",
        "readings.change_meter",
        "readings.add_meterassignment",
    ),
}


def may_bring(request: HttpRequest, kind: str) -> bool:
    """Whether this person may import files of a kind."""
    return bool(request.user.has_perms(RIGHTS[ImportKind(kind)]))


@admin.register(ImportFile)
class ImportFileAdmin(ListAdmin):
    """Each file with what became of it."""

    list_display = ["file", "kind_word", "state", "rows", "shape", "brought", "brought_by"]
    list_select_related = ["brought_by"]
    list_filter = ["status", "kind"]
    when_empty = "Bring readings or a registry as a file: by the buttons above."
    ordering = ["-id"]
    actions_list = ["upload_readings", "upload_registry"]

    def get_urls(self) -> list[URLPattern]:
        """The pages of one file."""
        views = {
            "decide": self.decide_view,
            "options": self.options_view,
            "discard": self.discard_view,
            "findings": self.findings_view,
            "content": self.content_view,
        }
        own = [
            path(
                "registry.<str:kind>",
                self.admin_site.admin_view(self.registry_view),
                name="readings_importfile_registry",
            )
        ]
        own += [
            path(
                f"<uuid:import_id>/{name}/",
                self.admin_site.admin_view(view),
                name=f"readings_importfile_{name}",
            )
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    # Who may

    def has_view_permission(self, request: HttpRequest, obj: ImportFile | None = None) -> bool:
        """Whoever may look, or bring."""
        brings = any(may_bring(request, kind) for kind in ImportKind)
        return brings or bool(super().has_view_permission(request, obj))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """The same."""
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Not by the button for rows: there is one for each kind of file."""
        return False

    def has_change_permission(self, *_: object, **__: object) -> bool:
        """Rows are never edited."""
        return False

    def has_delete_permission(self, *_: object, **__: object) -> bool:
        """Nor deleted: readings name them."""
        return False

    def has_readings_permission(self, request: HttpRequest, *_: object) -> bool:
        """Who may bring readings."""
        return may_bring(request, ImportKind.READINGS)

    def has_registry_permission(self, request: HttpRequest, *_: object) -> bool:
        """Who may bring a registry."""
        return may_bring(request, ImportKind.REGISTRY)

    # Ways to the upload

    @action(description="Import readings", permissions=["readings"])
    def upload_readings(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002
        """Leads to the upload."""
        return redirect("admin:readings_importfile_add")

    @action(description="Import registry", permissions=["registry"])
    def upload_registry(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002
        """Leads to the upload."""
        return redirect(
            f"{reverse('admin:readings_importfile_add')}?kind={ImportKind.REGISTRY.value}"
        )

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",  # noqa: ARG002
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """GET asks for a file, POST keeps it and looks at it."""
        kind = _kind(request)
        if not may_bring(request, kind):
            raise PermissionDenied
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            try:
                imported = imports.bring(
                    file.file, kind=kind, name=file.name, options=Options(), by=person(request)
                )
            except FileRefused as refusal:
                form.add_error("file", str(refusal))
            else:
                return self._go_on(imported, imports.look)
        context = self._context(
            request, title=f"Import {kind}", form=form, kind=kind, **(extra_context or {})
        )
        return TemplateResponse(request, "admin/readings/imports/upload.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The story of one file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            imported = self._find(request, UUID(object_id))
        except ValueError:
            raise Http404 from None
        return self._page(request, imported, **(extra_context or {}))

    # What is done with one file

    @method_decorator(require_POST)
    def decide_view(self, request: HttpRequest, import_id: UUID) -> HttpResponse:
        """Takes it, as the person says."""
        imported = self._mine(request, import_id)
        form = self._decision(request, imported)
        if not form.is_valid():
            return self._page(request, imported, decision=form)
        if not imports.confirm(imported, form.decision(), by=person(request)):
            messages.warning(request, "Somebody was faster: this is how the file stands now.")
            return _to(imported)
        answer = self._go_on(imported, imports.take)
        imported.refresh_from_db()
        if imported.status == ImportStatus.APPLIED:
            messages.success(request, f"{imported.name} is imported.")
        return answer

    @method_decorator(require_POST)
    def options_view(self, request: HttpRequest, import_id: UUID) -> HttpResponse:
        """Has it read as the person says."""
        imported = self._mine(request, import_id)
        form = options_form(request.POST, imported)
        if not form.is_valid():
            return self._page(request, imported, options=form)
        if not imports.reread(imported, form.options()):
            messages.warning(request, "This file is imported or discarded already.")
            return _to(imported)
        return self._go_on(imported, imports.look)

    @method_decorator(require_POST)
    def discard_view(self, request: HttpRequest, import_id: UUID) -> HttpResponse:
        """Forgets its bytes."""
        imported = self._mine(request, import_id)
        if imports.discard(imported):
            messages.success(request, f"{imported.name} is discarded: nothing of it was imported.")
        return _to(imported)

    def findings_view(self, request: HttpRequest, import_id: UUID) -> HttpResponseBase:
        """Everything that is wrong or changes, as CSV."""
        imported = self._find(request, import_id)
        return _download(imported, PartKind.FINDINGS, f"{imported.name}.findings.csv", "text/csv")

    def content_view(self, request: HttpRequest, import_id: UUID) -> HttpResponseBase:
        """The file as it came."""
        imported = self._find(request, import_id)
        return _download(imported, PartKind.CONTENT, imported.name, "application/octet-stream")

    def registry_view(self, request: HttpRequest, kind: str) -> HttpResponse:
        """The registry as it stands, to be changed and brought back."""
        if not may_bring(request, ImportKind.REGISTRY):
            raise PermissionDenied
        if kind not in FORMATS:
            raise Http404
        name = f"registry-{timezone.now():%Y-%m-%d}.{kind}"
        return HttpResponse(
            registry_file(kind), content_type=FORMATS[kind], headers=_attached(name)
        )

    def _find(self, request: HttpRequest, import_id: UUID) -> ImportFile:
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = ImportFile.objects.select_related("brought_by", "decided_by")
        return get_object_or_404(rows, id=import_id)

    def _mine(self, request: HttpRequest, import_id: UUID) -> ImportFile:
        """The file that a person is about to do something with."""
        imported = self._find(request, import_id)
        if not may_bring(request, imported.kind):
            raise PermissionDenied
        return imported

    def _go_on(self, imported: ImportFile, step: Any) -> HttpResponse:
        if imported.size <= IN_PLACE:
            step(imported.id)
        else:
            ask_for_work()
        return _to(imported)

    def _page(self, request: HttpRequest, imported: ImportFile, **forms: Any) -> HttpResponse:
        may = may_bring(request, imported.kind)
        decidable = may and imported.status == ImportStatus.CHECKED
        readable = may and imported.status in (ImportStatus.CHECKED, ImportStatus.REFUSED)
        if readable and "options" not in forms:
            forms["options"] = options_form(None, imported)
        if decidable and "decision" not in forms:
            forms["decision"] = self._decision(request, imported)
        context = self._context(
            request,
            title=imported.name,
            original=imported,
            decidable=decidable,
            readable=readable,
            **story(imported),
            **forms,
        )
        return TemplateResponse(request, "admin/readings/imports/import.html", context)

    def _decision(self, request: HttpRequest, imported: ImportFile) -> DecisionForm:
        return DecisionForm(
            request.POST if request.method == "POST" else None,
            imported.report,
            may_correct=request.user.has_perm("readings.correct_meterreading"),
        )

    def _context(self, request: HttpRequest, **more: Any) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, **more}

    # What is shown

    @display(description="File", ordering="id")
    def file(self, imported: ImportFile) -> str:
        """Its name."""
        return imported.name

    @display(description="Kind")
    def kind_word(self, imported: ImportFile) -> str:
        """Readings or registry."""
        return imported.kind.capitalize()

    @display(description="Status")
    def state(self, imported: ImportFile) -> SafeString:
        """How far it is."""
        return badge(imported.status, asks=bool(imported.needs))

    @display(description="Rows", empty_value="")
    def rows(self, imported: ImportFile) -> str:
        """How many it has."""
        return f"{imported.report['rows']:,}" if "rows" in imported.report else ""

    @display(description="Format", empty_value="")
    def shape(self, imported: ImportFile) -> str:
        """What it is, and how large."""
        return ", ".join(filter(None, (format_words(imported.format), size(imported.size))))

    @display(description="Brought")
    def brought(self, imported: ImportFile) -> str:
        """When."""
        return moment(imported.brought_at)


def options_form(data: Any, imported: ImportFile) -> OptionsForm:
    """How the file is read, and could be."""
    kinds = {ImportKind.READINGS: OptionsForm, ImportKind.REGISTRY: RegistryOptionsForm}
    form = kinds[ImportKind(imported.kind)](
        data, options_of(imported.options), columns_of(imported)
    )
    form.ask(imported.needs)
    return form


def columns_of(imported: ImportFile) -> list[str]:
    """The names in a table's first line; none where the file cannot be read so far."""
    try:
        with content.opened(imported) as file:
            return formats.header(file, options_of(imported.options))
    except FileRefused:
        return []


def _kind(request: HttpRequest) -> ImportKind:
    asked = request.POST.get("kind") or request.GET.get("kind") or ImportKind.READINGS.value
    try:
        return ImportKind(asked)
    except ValueError:
        raise Http404 from None


def _to(imported: ImportFile) -> HttpResponse:
    return redirect("admin:readings_importfile_change", imported.pk)


def _download(
    imported: ImportFile, kind: PartKind, name: str, content_type: str
) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        content.stream(imported, kind),
        content_type=content_type,
        headers=_attached(name),
    )


def _attached(name: str) -> dict[str, str]:
    disposition = content_disposition_header(as_attachment=True, filename=name)
    return {"Content-Disposition": disposition or "attachment"}
