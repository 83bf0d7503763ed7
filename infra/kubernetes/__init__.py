"""An exchange on Kubernetes: manifests, and what makes those that follow from our own tables."""
