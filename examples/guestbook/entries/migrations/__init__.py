"""How the guestbook's tables came to be."""
