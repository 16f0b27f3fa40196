"""Tasks for every day, one file one namespace: `fab appnode system.run --command uptime`."""
