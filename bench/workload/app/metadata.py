"""An app node as tools are measured on it: 12 packages, 3 users, 15 templates and what belongs to them."""

__description__ = "The workload of the engine's benchmark"
VALUES = {
    "node_name": system.hostname,
    "node_ip": next(iter(system.ipv4), "127.0.0.1"),
    "app_domain": "app.example.com",
    "app_port": 8000,
    "app_listen": 8081,
    "app_workers": 2,
    "app_env": "production",
    "app_log_level": "info",
    "app_allowed_networks": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
    "app_features": {"billing": True, "beta": False, "exports": True},
    "db_host": "db1.example.com",
    "db_port": 5432,
    "db_name": "app_production",
    "db_pool": 10,
    "redis_url": "redis://redis1.example.com:6379/0",
    "admin_email": "ops@example.com",
    "nginx_worker_processes": 1,
    "nginx_worker_connections": 1024,
    "nginx_client_max_body": "16m",
    "nginx_upstreams": [
        {"host": "127.0.0.1", "port": 8000, "weight": 5},
        {"host": "127.0.0.1", "port": 8010, "weight": 1},
    ],
    "nginx_headers": {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
    },
    "log_host": "logs.example.com",
    "logrotate_days": 14,
    "fail2ban_bantime": "1h",
    "fail2ban_findtime": "10m",
    "fail2ban_maxretry": 5,
    "upgrade_blacklist": ["nginx", "supervisor", "redis"],
    "deploy_commands": [
        "/usr/bin/supervisorctl restart *",
        "/usr/bin/systemctl reload nginx",
        "/usr/bin/systemctl restart supervisor",
    ],
}
__config__ = {f"app.{name}": {"default": value} for name, value in VALUES.items()}
