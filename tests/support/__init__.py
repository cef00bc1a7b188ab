"""What several test files share: cohorts, servers, planted faults."""
