"""A one-machine OpenStack: `control` brings it up and down; what a client sees is only its HTTP API."""
