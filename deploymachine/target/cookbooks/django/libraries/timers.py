"""Words of a command in, a line of a systemd unit that runs exactly these out."""


def exec_line(words):
    """Every word quoted; neither specifiers nor variables nor escapes of systemd's are left in it."""
    return " ".join(f'"{_plain(str(word))}"' for word in words)


def _plain(word):
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return escaped.replace("%", "%%").replace("$", "$$")
