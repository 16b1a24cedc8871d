"""The router's HTTP interfaces as OpenAPI 3.1: one document for the clients' port, one for the administration listener."""
