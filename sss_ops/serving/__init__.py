"""A registered model: package, model card, bill of materials, server."""
