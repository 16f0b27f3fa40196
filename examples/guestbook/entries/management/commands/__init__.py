"""Commands of the guestbook."""
