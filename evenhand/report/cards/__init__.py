"""Cards as people see them: pictures of their numbers for pages, notebooks and reports, tables, and a report of them all."""
