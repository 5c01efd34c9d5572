"""Rancher 1.6: its own upgrade, by rancher-compose, waited for and confirmed or taken back."""
