"""A site in, the file that tells its gunicorn how to serve out."""

from kokki import Environment, Fail, File, Template

LEAST_MB = 64  # of memory, below which no worker comes to its first request


def configuration(site, **arguments):
    """Declare /srv/sites/NAME/shared/gunicorn.conf.py."""
    env = Environment.get_instance()
    count = site.get("workers") or workers(env, site)
    variables = {"site": site, "workers": count, "share_mb": share_mb(env, site, count)}
    content = Template("gunicorn/gunicorn.conf.py.j2", variables)
    return File(f"{site['root']}/shared/gunicorn.conf.py", content=content, mode=0o644, **arguments)


def workers(env, site):
    """Two for each processor and one, as far as half of the memory, or the site's, goes; never fewer than two."""
    memory = site.get("memory_mb") or machine_mb(env) // 2
    return max(2, min(2 * env.system.cpus + 1, memory // env.config.gunicorn.worker_mb))


def share_mb(env, site, processes):
    """What each of a site's processes may take of its memory; without a limit of its own that is the machine's."""
    memory = site.get("memory_mb") or machine_mb(env)
    if memory // processes < LEAST_MB:
        raise Fail(f"{site['name']}: {memory} MB of memory (memory_mb) are too little for {processes} processes")
    return memory // processes


def machine_mb(env):
    return env.config.gunicorn.memory_mb or env.system.memory_mb
