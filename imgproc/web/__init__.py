"""The web app: reading requests, guarding them, what each address answers, and what the pages show."""
