"""The sites that something is still done for in, the removal of all others' homes and users out."""

from kokki import Directory, Environment, User

HOMES = "/srv/sites"


def without_other_homes():
    """Declare that only the homes of sites that are served or worked for here are left."""
    env = Environment.get_instance()
    kept = [site["name"] for book in ("django", "celery") for site in env.config.get(book, {}).get("sites", [])]
    for path in env.cookbook("base").strangers(HOMES, "*", kept):
        Directory(path, action="delete", recursive=True)
        User(f"site-{path.rpartition('/')[2]}", action="remove")
