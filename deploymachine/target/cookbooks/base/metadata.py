"""What every server has, whatever its type: a way in for its admins and for nobody else."""

__description__ = "Access, firewall, names of the peers, package sources, time and locale of every server"
__config__ = {
    "base.deploy_username": {"description": "The user admins log in as", "default": "deploy"},
    "base.deploy_password_hash": {"description": "crypt(5) hash of its sudo password; None: not set", "default": None},
    "base.admin_keys": {
        "description": "Public keys, a line each, that open its door; all others are removed",
        "default": [],
    },
    "base.ssh_port": {"description": "Where sshd listens", "default": 22},
    "base.root_login": {
        "description": "Keep root's key login and port 22 open: only while a server is being provisioned",
        "default": False,
    },
    "base.packages": {"description": "Debian packages every server gets", "default": []},
    "base.firewall_rules": {
        "description": "Who may come in: [{port, protocol, sources (addresses; []: anyone), comment}]",
        "default": [],
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
