"""The kernel: settings that make attacks harder, and drivers of what no server has."""

from kokki import *

for name, value in env.cookbooks.base.kernel_settings(env).items():
    Sysctl(name, value=value, path="/etc/sysctl.d/80-deploymachine.conf")
Directory("/etc/modprobe.d", mode=0o755)
File("/etc/modprobe.d/deploymachine.conf", content=StaticFile("base/modprobe.conf"), mode=0o644)
