"""Deployment files, and the demo stack (``deploy.demo``)."""
