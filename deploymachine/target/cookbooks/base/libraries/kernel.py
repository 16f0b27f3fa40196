"""The kernel settings of this very machine: ours and base.sysctl, less what can't be set here."""

import os

FORWARDING = ["net.ipv4.conf.all.forwarding", "net.ipv6.conf.all.forwarding"]  # switching it off resets others: first
SETTINGS = {
    **dict.fromkeys(FORWARDING, 0),
    "dev.tty.ldisc_autoload": 0,
    "fs.protected_fifos": 2,
    "fs.protected_hardlinks": 1,
    "fs.protected_regular": 2,
    "fs.protected_symlinks": 1,
    "fs.suid_dumpable": 0,
    "kernel.core_uses_pid": 1,
    "kernel.ctrl-alt-del": 0,
    "kernel.dmesg_restrict": 1,
    "kernel.kptr_restrict": 2,
    "kernel.perf_event_paranoid": 3,
    "kernel.randomize_va_space": 2,
    "kernel.sysrq": 0,
    "kernel.unprivileged_bpf_disabled": 1,
    "kernel.yama.ptrace_scope": 1,
    "net.core.bpf_jit_harden": 2,
    "net.ipv4.icmp_echo_ignore_broadcasts": 1,
    "net.ipv4.icmp_ignore_bogus_error_responses": 1,
    "net.ipv4.tcp_syncookies": 1,
    **{
        f"net.ipv4.conf.{scope}.{name}": value
        for scope in ("all", "default")
        for name, value in {
            "accept_redirects": 0,
            "accept_source_route": 0,
            "log_martians": 1,
            "rp_filter": 1,
            "send_redirects": 0,
        }.items()
    },
    **{
        f"net.ipv6.conf.{scope}.{name}": 0
        for scope in ("all", "default")
        for name in ("accept_redirects", "accept_source_route")
    },
}
ONE_WAY_ONLY = "net.ipv4.conf.{}.rp_filter"


def kernel_settings(env):
    """name -> value. Left out: what this kernel lacks, what a container may not write, what base.sysctl has as None."""
    wanted = dict(SETTINGS)
    if len(env.system.ipv4) > 1:  # an answer may rightly leave by another interface than the question came in
        wanted.update({ONE_WAY_ONLY.format(scope): 2 for scope in ("all", "default")})
    wanted.update(env.config.base.sysctl)
    return {name: value for name, value in wanted.items() if value is not None and writable(name)}


def writable(name):
    """Whether the setting can be written here: most of /proc/sys is read-only in a container."""
    return os.access("/proc/sys/" + name.replace(".", "/"), os.W_OK)
