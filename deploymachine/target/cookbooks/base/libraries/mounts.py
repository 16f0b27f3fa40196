"""A mount point in, how it is mounted out."""


def mounted_with(point, options, table="/proc/self/mounts"):
    """Whether something is mounted there, all options among its own."""
    with open(table, encoding="utf-8") as lines:
        found = [line.split()[3].split(",") for line in lines if line.split()[1] == point]
    return bool(found) and set(options) <= set(found[-1])
