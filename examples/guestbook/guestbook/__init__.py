"""The guestbook: a small Django project for deploymachine's demo."""
