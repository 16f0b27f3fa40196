"""The machine in; what PostgreSQL is told of its memory, its cores and its disk out."""

import os

from kokki import Fail

DATA = "/var/lib/postgresql"
# What a hypervisor shows as a disk says "rotational" whatever lies behind it.
VIRTUAL = ("vd", "xvd")
PLANNER = {
    "ssd": {"random_page_cost": "1.1", "effective_io_concurrency": "200"},
    "hdd": {"random_page_cost": "4", "effective_io_concurrency": "2"},
}


def memory_mb(env):
    """MiB that PostgreSQL may count on."""
    config = env.config.postgresql
    return int((config.memory_mb or env.system.memory_mb) * config.memory_share)


def at_start(env):
    """Settings that only a start reads, name -> value. A replica refuses to have fewer workers than its primary."""
    return {"shared_buffers": f"{max(memory_mb(env) // 4, 32)}MB", "max_worker_processes": 16}


def running(env):
    """Settings that a reload brings, name -> value."""
    memory, cpus = memory_mb(env), env.system.cpus
    work = memory // 4 // env.config.postgresql.max_connections
    return {
        "effective_cache_size": f"{max(memory * 3 // 4, 64)}MB",
        "work_mem": f"{min(max(work, 4), 64)}MB",
        "maintenance_work_mem": f"{min(max(memory // 16, 32), 1024)}MB",
        "max_parallel_workers": min(cpus, 16),
        "max_parallel_workers_per_gather": min(cpus // 2, 4),
        "max_parallel_maintenance_workers": max(1, min(cpus // 2, 4)),
        **PLANNER[disk(env.config.postgresql.disk)],
    }


def disk(chosen, path=DATA, blocks="/sys/dev/block"):
    """The kind of disk the data lie on: as chosen, else as the kernel says; ssd where it says nothing."""
    if chosen is None:
        return "hdd" if rotational(path, blocks) else "ssd"
    if chosen not in PLANNER:
        raise Fail(f"postgresql.disk is {chosen!r}: it has to be ssd or hdd")
    return chosen


def rotational(path, blocks):
    """Whether the disk below a path turns; None where the kernel does not know, or can't."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    number = os.stat(path).st_dev
    device = os.path.realpath(f"{blocks}/{os.major(number)}:{os.minor(number)}")
    for place in (device, os.path.dirname(device)):  # a partition is a directory within its disk's
        flag = os.path.join(place, "queue", "rotational")
        if os.path.exists(flag) and not os.path.basename(place).startswith(VIRTUAL):
            with open(flag) as file:
                return file.read().strip() == "1"
    return None
