"""A program that supervisor keeps running in, its file out."""

import fnmatch
import os

from kokki import Environment, Execute, File, Template

PROGRAMS = "/etc/supervisor/conf.d"


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


def forget(*patterns):
    """Have all programs of those patterns stopped and forgotten; supervisor itself may run or not."""
    update = Execute(
        "forget programs", command="supervisorctl update", only_if="systemctl -q is-active supervisor", action="nothing"
    )
    names = os.listdir(PROGRAMS) if os.path.isdir(PROGRAMS) else []
    gone = sorted(name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in patterns))
    return [File(f"{PROGRAMS}/{name}", action="delete", backup=False, notifies=[("run", update)]) for name in gone]
