"""The book itself, and the page that says whether it can be read."""

import socket

from django.conf import settings
from django.contrib import messages
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from entries.counting import cached_count, forget_count
from entries.forms import EntryForm
from entries.models import Entry

SHOWN = 50


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def book(request: HttpRequest) -> HttpResponse:
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        entry = form.save()
        forget_count()
        if settings.CELERY_BROKER_URL:
            from entries.tasks import hand_over

            hand_over(entry.pk)
        messages.success(request, f"Thank you, {entry.name}. Your words are in the book.")
        return redirect("book")
    count, cached = cached_count()
    page = {
        "form": form,
        "entries": Entry.objects.all()[:SHOWN],
        "count": count,
        "cached": cached,
        "server": socket.gethostname(),
    }
    return render(request, "entries/book.html", page, status=200 if form.is_valid() or not form.is_bound else 422)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when the database answers, 503 when it does not: what a release waits for and a monitor asks."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("the database is away\n", status=503, content_type="text/plain")
    return HttpResponse("ok\n", content_type="text/plain")
