"""A user's name in, how long its password holds out."""

NEVER = 99999  # days; what useradd writes where nothing else is set


def password_stays(name, path="/etc/shadow"):
    """Whether the user's password never has to be changed, and may be at any time; False where there is nobody."""
    with open(path, encoding="utf-8") as lines:
        for fields in (line.rstrip("\n").split(":") for line in lines):
            if fields[0] == name:
                return int(fields[3] or 0) <= 0 and not 0 <= int(fields[4] or -1) < NEVER
    return False
