"""A program that supervisor keeps running in, its file out."""

from kokki import Environment, File, Template


def program(name, command, user, **settings):
    """Declare /etc/supervisor/conf.d/NAME.conf; settings are supervisor's own, and win over the defaults here.

    A change restarts the program, unless it was not running. Returns the File.
    """
    env = Environment.get_instance()
    content = Template(
        "supervisor/program.conf.j2", {"name": name, "command": command, "user": user, "settings": settings}
    )
    update = ("run", env.resources["Execute"]["update supervisor"])
    return File(f"/etc/supervisor/conf.d/{name}.conf", content=content, mode=0o644, notifies=[update])


def without_programs(paths):
    """Have programs stopped and forgotten whose files, at those paths, nobody wants any more."""
    update = ("run", Environment.get_instance().resources["Execute"]["update supervisor"])
    return [File(path, action="delete", notifies=[update]) for path in paths]
