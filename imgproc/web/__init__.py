"""Floor 5, what ``app.py`` needs besides its routes: reading requests, guarding them, and what the pages show."""
