"""Records out and in: exports, archives, backups, other storages."""
