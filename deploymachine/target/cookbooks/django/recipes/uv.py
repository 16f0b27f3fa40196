"""uv, in a place of its own: no distribution brings it."""

from kokki import *

HOME = "/opt/deploymachine/uv"

for package in env.config.django.packages:
    Package(package)
Directory("/opt/deploymachine", mode=0o755)
Execute(
    "install uv",
    command=f"python3 -m venv {HOME} && {HOME}/bin/pip install -q '{env.config.django.uv}'",
    creates=f"{HOME}/bin/uv",
)
