"""How the deployment is: servers are asked, all at once (`asking`), and judged (`judging`)."""
