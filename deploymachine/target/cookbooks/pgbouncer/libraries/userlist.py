"""Passwords in, the file that pgbouncer knows its users by out."""

from kokki.secrets import Secret


def userlist(passwords):
    """`"user" "password"` lines. It needs the passwords themselves: it logs in to the server with them."""
    lines = [f"{_quoted(user)} {_quoted(password)}\n" for user, password in sorted(passwords.items())]
    return Secret("".join(lines))


def _quoted(text):
    return '"' + text.replace('"', '""') + '"'
