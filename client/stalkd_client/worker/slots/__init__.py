"""From a job that is taken to a job that has ended: leases, results, what is stored."""
