"""FHIR: the guard in front of a server that knows nothing of SMART: what was granted, and nothing beside it."""
