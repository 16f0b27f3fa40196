"""A site in, the place its releases live in out: packages, user, directories, environment, `run`."""

from kokki import Directory, Environment, File, Package, Template, User

FOLDERS = ("releases", "venvs", "repo.git", "shared", "shared/media", "shared/static", ".cache")


def home(site):
    """Declare it, once for all recipes; returns the Files whose change the site's programs have to take in."""
    env = Environment.get_instance()
    user, root = site["user"], site["root"]
    paths = [f"{root}/shared/env", f"{root}/shared/run"]
    if paths[0] in env.resources.get("File", {}):
        return [env.resources["File"][path] for path in paths]
    for package in site.get("packages", ()):
        if package not in env.resources.get("Package", {}):
            Package(package)
    User(user, system=True, home=root, shell="/usr/sbin/nologin")  # noqa: S604 - nobody logs in, no subprocess
    for folder in ("", *FOLDERS):
        Directory(f"{root}/{folder}".rstrip("/"), owner=user, group=user, mode=0o750)
    variables = env.cookbooks.django.environment_file(site["environment"])
    # No backup: secrets lie in one place.
    return [
        File(paths[0], content=variables, owner=user, group=user, mode=0o600, backup=False),
        File(paths[1], content=Template("django/run.j2", {"site": site}), mode=0o755),
    ]
