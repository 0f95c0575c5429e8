"""The repository, journal, search and outbox over one relational database."""
