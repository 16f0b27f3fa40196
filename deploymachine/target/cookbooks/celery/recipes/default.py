"""Each site that has tasks: where its releases live, and its programs. They wait for the first release."""

from kokki import *

env.include_recipe("supervisor", "django.uv")
supervisor, strangers = env.cookbooks.supervisor, env.cookbook("base").strangers

Directory("/srv/sites", recursive=True, mode=0o755)
for site in env.config.celery.sites:
    told = env.cookbooks.django.home(site)
    for program in site["programs"]:
        name = program["name"]
        status = f"supervisorctl status {name}"
        # TERM is Celery's warm shutdown: what was begun is finished. supervisor starts it anew then, with all of today.
        restart = Execute(
            f"restart {name}",
            # Asked twice: without a release it ends by itself, perhaps between question and signal.
            command=f"! {status} || supervisorctl signal TERM {name} || ! {status}",
            action="nothing",
        )
        for file in told:
            file.subscribe("run", restart)
        supervisor.program(
            name,
            env.cookbooks.celery.command(site, program),
            site["user"],
            exitcodes=75,  # there is no release yet: not a failure, and nothing to try again
            startretries=10,
            stopasgroup="false",  # the worker tells its processes, once they are done
            stopwaitsecs=env.config.celery.graceful_timeout,
        )

programs = [f"{program['name']}.conf" for site in env.config.celery.sites for program in site["programs"]]
for pattern in ("celery-*.conf", "beat-*.conf"):
    supervisor.without_programs(strangers("/etc/supervisor/conf.d", pattern, programs))
env.include_recipe("django.cron")
