"""The one app of the guestbook."""
