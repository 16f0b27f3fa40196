"""Who may log in as whom: public halves of keys that nobody holds."""

KEYS = {
    "app": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMM6WRl5ANn/AlL6Gj779gjxuGed9gZMmcVOW4oIlDmD bench-app@example.com"],
    "deploy": [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDSk33xrgM60G8Xb/bTCmFL+JxErBccEW24BimrO3wDV bench-deploy@example.com"
    ],
    "ops": [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP1FIN2CHknRhus3CmPxwwOIUQVFBQoque8N67Luyso8 bench-ops1@example.com",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDZq9MVXE2XZ4tV5hQ1qqsWNt/0ACdtwBM4Jh40Z0kPC bench-ops2@example.com",
    ],
}
