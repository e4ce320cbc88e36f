"""Stand-ins for Catalog, Auth, Account and Payment."""
