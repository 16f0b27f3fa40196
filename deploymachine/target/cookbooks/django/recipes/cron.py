"""Management commands at their times: a timer and a service each. What they print is in the journal."""

from kokki import *

library, strangers = env.cookbooks.django, env.cookbook("base").strangers
FOLDER = "/etc/systemd/system"

wanted = []
for job in env.config.django.cron:
    name = job["name"]
    words = [f"{job['root']}/shared/run", "python", "manage.py", *job["command"]]
    variables = {"job": job, "command": library.exec_line(words)}
    SystemdUnit(f"{name}.service", content=Template("django/cron.service.j2", variables))
    timer = SystemdUnit(f"{name}.timer", content=Template("django/cron.timer.j2", variables))
    Service(f"{name}.timer", action="start", enabled=True, subscribes=[("restart", timer)])
    wanted += [f"{name}.service", f"{name}.timer"]

for path in strangers(FOLDER, "cron-*.timer", wanted):
    Service(path.rpartition("/")[2], action="stop", enabled=False)
for pattern in ("cron-*.timer", "cron-*.service"):
    for path in strangers(FOLDER, pattern, wanted):
        SystemdUnit(path.rpartition("/")[2], action="delete")
