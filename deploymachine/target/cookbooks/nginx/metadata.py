"""The loadbalancer: TLS in front, the sites' appnodes behind."""

__description__ = (
    "nginx: TLS, upstreams with passive checks, a cache for what is static, a page for when nobody answers"
)
__config__ = {
    "nginx.sites": {
        "description": "What is served: [{name, domains ([]: every name), upstreams ('ip:port'), default, certificate "
        "(self-signed, files or acme), body_size_mb, rate_limit (None or {per_second, burst}), health_path, "
        "maintenance_page (HTML, or None: ours)}]",
        "default": [],
    },
    "nginx.certificates": {
        "description": "site -> {certificate: PEM with its chain, key: PEM}; for acme what serves until there is one",
        "default": {},
    },
    "nginx.acme_peer": {
        "description": "The loadbalancer that answers for all when an ACME authority asks; None: this one",
        "default": None,
    },
    "nginx.switch": {
        "description": "site -> {maintenance, enabled: bool, notice: {message, allow (addresses that come in all the "
        "same), retry_after (seconds)}} from now on; who is not named stays as switched before",
        "default": {},
    },
    "nginx.hsts_seconds": {"description": "How long browsers insist on HTTPS", "default": 63072000},
    "nginx.headers": {
        "description": "Headers of every answer that does not bring them itself",
        "default": {
            "Content-Security-Policy": "base-uri 'self'; object-src 'none'",
            "Permissions-Policy": "camera=(self), geolocation=(self), microphone=(self), payment=(self)",
            "Referrer-Policy": "strict-origin-when-cross-origin",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "SAMEORIGIN",
        },
    },
    "nginx.client_max_body_size": {"description": "The largest upload of a site that says nothing", "default": "20m"},
    "nginx.gzip_for_all": {
        "description": "Compress pages also for who comes from another site, or does not say (see nginx.conf.j2)",
        "default": False,
    },
    "nginx.cache_max_size": {"description": "Disk for cached static files and media", "default": "256m"},
    "nginx.read_timeout": {"description": "Seconds an appnode may take to answer", "default": 60},
    "nginx.worker_connections": {"description": "Connections of each worker", "default": 4096},
}
