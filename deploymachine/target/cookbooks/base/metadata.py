"""What every server has, whatever its type: a way in for its admins and for nobody else."""

__description__ = "Access, firewall, hardening, updates, names of the peers, package sources, time and locale"
__config__ = {
    "base.deploy_username": {"description": "The user admins log in as", "default": "deploy"},
    "base.deploy_password_hash": {"description": "crypt(5) hash of its sudo password; None: not set", "default": None},
    "base.admin_keys": {
        "description": "Public keys, a line each, that open its door; all others are removed",
        "default": [],
    },
    "base.ssh_port": {"description": "Where sshd listens", "default": 22},
    "base.ssh_max_sessions": {"description": "Channels on one connection", "default": 4},
    "base.ssh_max_auth_tries": {"description": "Keys that a client may offer before it is cut off", "default": 3},
    "base.ssh_more_kex": {
        "description": "Key exchanges to offer besides the release's hardened ones, for clients that know none of them",
        "default": [],
    },
    "base.root_login": {
        "description": "Keep root's key login and port 22 open: only while a server is being provisioned",
        "default": False,
    },
    "base.packages": {"description": "Debian packages every server gets", "default": []},
    "base.firewall_rules": {
        "description": "Who may come in: [{port, protocol, sources (addresses; []: anyone), comment}]",
        "default": [],
    },
    "base.fail2ban_ignore": {"description": "Addresses and networks that are never banned", "default": []},
    "base.fail2ban_tries": {"description": "Failed logins within ten minutes that ban an address", "default": 5},
    "base.fail2ban_minutes": {"description": "How long it is banned; longer each time", "default": 60},
    "base.reboot_time": {
        "description": "When the server reboots if an update wants it, as 03:30; None: never by itself",
        "default": None,
    },
    "base.needrestart": {
        "description": "After upgrades, services on old libraries: l lists them, a restarts them",
        "default": "l",
    },
    "base.swap_mb": {"description": "Swap file; 0: none; None: as much as memory, 2048 at most", "default": None},
    "base.sysctl": {"description": "Kernel settings besides ours, or None to leave one of ours out", "default": {}},
    "base.password_days": {
        "description": "How long a password that somebody else is given here holds; the deploy user's does not end",
        "default": 365,
    },
    "base.umask": {"description": "Of everybody who logs in", "default": "027"},
    "base.idle_logout": {"description": "Seconds after which an idle shell ends; None: never", "default": 3600},
    "base.banner": {
        "description": "What the console says before a login",
        "default": "Authorized users only. Unauthorized access to this private system is prohibited, may be monitored "
        "and will be reported as a crime.",
    },
    "base.hostname": {"description": "The server's own name; None: left as it is", "default": None},
    "base.hosts": {"description": "name -> address of every peer", "default": {}},
    "base.ca_certificates": {"description": "file name -> PEM of authorities to trust as well", "default": {}},
    "base.apt_proxy": {"description": "URL of a proxy for apt", "default": None},
    "base.pip_index_url": {"description": "Package index for pip and uv; None: theirs", "default": None},
    "base.timezone": {"description": "A name below /usr/share/zoneinfo", "default": "Etc/UTC"},
    "base.locale": {
        "description": "LANG of the system; C.UTF-8 is there without being generated",
        "default": "C.UTF-8",
    },
}
