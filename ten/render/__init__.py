"""Render: a job as other engines want it written. Names of secrets go along, values never do."""
