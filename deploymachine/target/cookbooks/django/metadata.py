"""The sites of an appnode: everything a release needs to find, and nothing of the release itself."""

__description__ = "Each site's user, directories, environment and program; uv, which builds virtualenvs"
__config__ = {
    "django.sites": {
        "description": (
            "[{name, user, root, bind ('ip:port'), wsgi, settings_module, directory (of the project in its code), "
            "environment, packages (Debian's that it needs, []), workers (None: by processors), "
            "memory_mb (None: the machine's)}]"
        ),
        "default": [],
    },
    "django.cron": {
        "description": "manage.py commands: [{name, user, root, calendar (as OnCalendar has it), command: [word]}]",
        "default": [],
    },
    "django.packages": {
        "description": "Debian packages the sites need to run and to be built",
        "default": ["git", "python3-venv", "libpq5"],
    },
    "django.uv": {"description": "What pip installs as uv", "default": "uv"},
}


def __loader__(kit):  # noqa: N807 - the recipe language calls it so
    kit.cookbook("gunicorn")
