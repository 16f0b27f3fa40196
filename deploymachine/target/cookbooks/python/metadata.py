"""Virtual environments and what pip installs in them, as resources for other cookbooks."""

__description__ = "Virtualenv and PipPackage: env.cookbooks.python.Virtualenv(path), .PipPackage(name, virtualenv=path)"
__config__ = {
    "python.packages": {"description": "Debian packages that virtual environments need", "default": ["python3-venv"]},
}
