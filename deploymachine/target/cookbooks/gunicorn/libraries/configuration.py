"""A site in, the file that tells its gunicorn how to serve out."""

from kokki import Environment, File, Template


def configuration(site, **arguments):
    """Declare /srv/sites/NAME/shared/gunicorn.conf.py."""
    env = Environment.get_instance()
    variables = {"site": site, "workers": site.get("workers") or workers(env)}
    content = Template("gunicorn/gunicorn.conf.py.j2", variables)
    return File(f"{site['root']}/shared/gunicorn.conf.py", content=content, mode=0o644, **arguments)


def workers(env):
    """Two for each processor and one, as far as half of the memory goes; never fewer than two."""
    affordable = env.system.memory_mb // 2 // env.config.gunicorn.worker_mb
    return max(2, min(2 * env.system.cpus + 1, affordable))
