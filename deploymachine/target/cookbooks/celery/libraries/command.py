"""A program of a site in, the command that supervisor runs for it out."""

from kokki import Environment


def command(site, program):
    """A worker's processes get no more memory than their shares, and are replaced between tasks before they have it."""
    run = f"{site['root']}/shared/run {program['command']}"
    if not program.get("processes"):
        return run
    processes = sum(one.get("processes", 0) for one in site["programs"])
    env = Environment.get_instance()
    share = env.cookbooks.gunicorn.share_mb(env, site, processes)
    return f"/usr/bin/prlimit --data={share << 20}: {run} --max-memory-per-child {share * 1024 * 4 // 5}"
