"""The form a visitor fills in."""

from django import forms

from entries.models import Entry


class EntryForm(forms.ModelForm):
    class Meta:
        model = Entry
        fields = ("name", "message")
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "name", "placeholder": "Ada Lovelace"}),
            "message": forms.Textarea(attrs={"rows": 4, "placeholder": "I was here, and I liked it."}),
        }
