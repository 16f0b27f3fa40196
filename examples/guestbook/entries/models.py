"""What the guestbook remembers."""

from django.db import models


class Entry(models.Model):
    """One visitor's words."""

    name = models.CharField(max_length=80)
    message = models.TextField(max_length=1000)
    created = models.DateTimeField(auto_now_add=True, db_index=True)
    words = models.PositiveIntegerField(null=True, editable=False)  # None: not counted yet
    counted_by = models.CharField(max_length=80, blank=True, editable=False)

    class Meta:
        ordering = ("-created", "-id")
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return f"{self.name}: {self.message[:40]}"
