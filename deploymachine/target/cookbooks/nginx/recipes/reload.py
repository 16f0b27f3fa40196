"""What lies in /etc/nginx, tried and then taken; requests that have begun are finished as they began."""

from kokki import *

Execute("reload nginx", command="nginx -t -q && systemctl reload nginx")
