"""Whether nginx would take what lies in /etc/nginx."""

from kokki import *

Execute("nginx -t", command="nginx -t -q")
