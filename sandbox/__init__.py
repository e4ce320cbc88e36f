"""Stand-ins for the platform's other services (Catalog, Auth, Account, Payment) and a CDN's origin, with a small publisher of real
content and the supervisor of the embedded platform. For local runs, demos and tests; never part of a deployment.
"""
