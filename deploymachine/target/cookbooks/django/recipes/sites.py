"""Each site: its own user, the directories its releases live in, its environment, its program."""

from kokki import *

env.include_recipe("supervisor", "django.uv")
supervisor, strangers = env.cookbooks.supervisor, env.cookbook("base").strangers

Directory("/srv/sites", recursive=True, mode=0o755)
for site in env.config.django.sites:
    user, root, program = site["user"], site["root"], f"site-{site['name']}"
    status = f"supervisorctl status {program}"
    # HUP has gunicorn read everything anew, without a pause: see its configuration.
    reload = Execute(
        f"reload {program}",
        # Asked twice: without a release it ends by itself, perhaps between question and signal.
        command=f"! {status} || supervisorctl signal HUP {program} || ! {status}",
        action="nothing",
    )
    for file in env.cookbooks.django.home(site):
        file.subscribe("run", reload)
    env.cookbooks.gunicorn.configuration(site, notifies=[("run", reload)])
    supervisor.program(
        program,
        f"{root}/shared/run",
        user,
        exitcodes=75,  # there is no release yet: not a failure, and nothing to try again
        startretries=10,  # at boot the address to bind to may be late
        stopwaitsecs=env.config.gunicorn.graceful_timeout + 5,
    )

programs = [f"site-{site['name']}.conf" for site in env.config.django.sites]
supervisor.without_programs(strangers("/etc/supervisor/conf.d", "site-*.conf", programs))
